"""The error for wrong input: one clear line for each thing that is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """What a user wrote cannot be used.

    Args:
        *lines: A message for each thing that is wrong. ``str`` of the error joins them by line
            breaks; line breaks inside a message become spaces.

    Attributes:
        lines: The messages.
    """

    def __init__(self, *lines: str) -> None:
        self.lines = tuple(" ".join(line.splitlines()) for line in lines)
        super().__init__(*self.lines)  # pickle builds a copy from these

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Problems:
    """Collects the input errors of several independent checks.

    Examples:
        >>> problems = Problems()
        >>> with problems.collect():
        ...     check_one_thing()
        >>> with problems.collect():
        ...     check_another()
        >>> problems.raise_if_any()
    """

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}  # in order, without repeats

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Keeps the messages of an input error inside, and continues after the block."""
        try:
            yield
        except InputError as error:
            self._lines.update(dict.fromkeys(error.lines))

    def raise_if_any(self) -> None:
        """Raises one error for all that was collected.

        Raises:
            InputError: Something was collected.
        """
        if self._lines:
            raise InputError(*self._lines)


def shown(value: object, longest: int = 200) -> str:
    """Returns a value as Python writes it, shortened, for a message.

    Args:
        value: What the user wrote.
        longest: The number of letters that are kept.
    """
    try:
        text = repr(value)
    except ValueError:  # Python does not write integers of more than 4300 digits
        return f"a {type(value).__name__} with an integer of thousands of digits"
    return text if len(text) <= longest else f"{text[:longest]}..."


@contextmanager
def located(place: str) -> Iterator[None]:
    """Puts a prefix before each message of an input error inside.

    Args:
        place: The prefix, with its separator, for example ``"config."`` or ``"x.yaml: "``.
    """
    try:
        yield
    except InputError as error:
        raise type(error)(*(f"{place}{line}" for line in error.lines)) from None


def nearest_name(word: str, names: Iterable[str]) -> str | None:
    """The nearest name, if one is near; letters may be of the other case."""
    names, word = list(names), word[:200]
    if found := difflib.get_close_matches(word, names, n=1, cutoff=0.5):
        return found[0]
    lower = {name.lower(): name for name in names}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    return lower[found[0]] if found else None


def unknown_name(
    place: str, found: object, legal: Iterable[str], also: Iterable[str] = ()
) -> InputError:
    """Builds the error for a name that is not among the legal ones.

    Args:
        place: Where the name stands, for example ``"env_config.backend"``.
        found: What was found there.
        legal: The legal names.
        also: Further legal names, too many to list.

    Returns:
        An error that names the place, what was found, the nearest match and the legal names.
    """
    names = sorted(legal)
    more = sorted(set(also) - set(names))
    word = found if isinstance(found, str) else shown(found)
    nearest = nearest_name(word, names + more)
    hint = f"did you mean {nearest!r}? " if nearest else ""
    others = f", and {len(more)} others" if more else ""
    return InputError(
        f"{place}: {shown(found)} is unknown; {hint}legal: {', '.join(names)}{others}"
    )
