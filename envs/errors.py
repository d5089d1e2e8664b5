"""The one kind of error that a user's input can cause, always one clear line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What a user wrote cannot be used; the message is one line meant for them."""


def unknown_name(place: str, found: object, legal: Iterable[str]) -> InputError:
    """Builds the error for a name that is not among the legal ones.

    Args:
        place: Where the name stands, for example ``"env_config.backend"``.
        found: What was found there.
        legal: The names that would have been accepted.

    Returns:
        An error that names the place, what was found, the nearest match and all legal names.
    """
    names = sorted(legal)
    nearest = difflib.get_close_matches(str(found), names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return InputError(f"{place}: {found!r} is unknown; {hint}legal: {', '.join(names)}")
