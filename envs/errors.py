"""The one kind of error that a user's input can cause, always one clear line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """What a user wrote cannot be used; the message is one line meant for them."""


def unknown_name(
    place: str, found: object, legal: Iterable[str], also: Iterable[str] = ()
) -> InputError:
    """Builds the error for a name that is not among the legal ones.

    Args:
        place: Where the name stands, for example ``"env_config.backend"``.
        found: What was found there.
        legal: The names that would have been accepted.
        also: Names that are accepted too, but are too many to list.

    Returns:
        An error that names the place, what was found, the nearest match and the legal names.
    """
    names = sorted(legal)
    more = sorted(set(also) - set(names))
    nearest = difflib.get_close_matches(str(found), names + more, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    others = f", and {len(more)} others" if more else ""
    return InputError(f"{place}: {found!r} is unknown; {hint}legal: {', '.join(names)}{others}")
