"""What a file or an option may hold: mappings, lists, words, numbers, true, false and nothing."""

from __future__ import annotations

from typing import Any

from envs.errors import InputError

_DEEPEST = 20  # also ends what contains itself
_MOST_VALUES = 100_000  # a few lines of YAML can stand for billions


def check_plain(content: Any, place: str) -> Any:
    """Returns the content, if it is plain.

    Args:
        content: What YAML or JSON made of a text.
        place: Where it stands, for messages.

    Raises:
        InputError: It holds dates or other objects, keys that are no words, or far too much.
    """
    seen = 0
    todo: list[tuple[Any, int]] = [(content, 0)]
    while todo:
        value, depth = todo.pop()
        seen += 1
        if depth > _DEEPEST or seen > _MOST_VALUES:
            raise InputError(f"{place}: it is nested too deeply, or holds too much")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise InputError(f"{place}: expected keys that are words, found {key!r}")
            todo += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            todo += [(inner, depth + 1) for inner in value]
        elif not (value is None or isinstance(value, (str, bool, int, float))):
            raise InputError(
                f"{place}: expected words and numbers, found {value!r}, which YAML reads as a "
                f"{type(value).__name__}; put it between quotes"
            )
    return content
