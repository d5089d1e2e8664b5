"""The largest inputs that the command line takes. A larger one is more likely a typing error."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from typing import Any, TypeVar

from rllib_ptm.checks.errors import InputError

MOST_EPISODES, MOST_TRIALS, MOST_CORES = 1_000_000, 10_000, 10_000
MOST_RENDERED = 1_000  # episodes of each task in a page, which a browser has to hold
MOST_SNAPSHOTS = 12  # side by side in a figure

# Of a YAML file, or of the JSON of an option.
MOST_CHARACTERS = 100_000  # PyYAML reads so many in about a second
_DEEPEST = 20  # this limit also ends a value that contains itself
_MOST_VALUES = 20_000  # with aliases, a few lines of YAML can stand for billions of values
_MOST_KEYS = 500  # of one mapping
_LONGEST_WORD = 1_000
_LONGEST_NUMBER = 100  # characters
_LARGEST_INTEGER = 2**63 - 1

Number = TypeVar("Number", int, float)


def check_length(text: str) -> None:
    """Checks that a text can be read in reasonable time.

    Raises:
        InputError: It is too long.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"it holds too much: expected at most {MOST_CHARACTERS} characters")


def check_amount(values: int, depth: int) -> None:
    """Checks how many values have been read, and how deep the last one stands.

    Raises:
        InputError: There are too many, or it is too deep.
    """
    if depth > _DEEPEST or values > _MOST_VALUES:
        raise InputError(
            f"it is nested too deeply, or holds too much: expected at most {_DEEPEST} levels and "
            f"{_MOST_VALUES} values"
        )


def check_keys(mapping: dict[str, Any]) -> dict[str, Any]:
    """Returns a mapping.

    Raises:
        InputError: It has too many keys.
    """
    if len(mapping) > _MOST_KEYS:
        raise InputError(f"expected at most {_MOST_KEYS} keys in a mapping, found {len(mapping)}")
    return mapping


def check_key(key: Any) -> str:
    """Returns the key of a mapping.

    Raises:
        InputError: It is not a word.
    """
    if not isinstance(key, str):
        raise InputError(f"expected keys that are words, found {key!r}")
    return check_word(key)


def check_word(word: str) -> str:
    """Returns a word.

    Raises:
        InputError: It is too long, or it holds a character that cannot be written or printed.
    """
    if len(word) > _LONGEST_WORD:
        raise InputError(
            f"expected a word of at most {_LONGEST_WORD} characters, found {word[:20]!r}..."
        )
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n" for c in word):
        raise InputError(f"expected a word without control characters, found {word!r}")
    return word


def read_number(text: str, read: Callable[[str], Number]) -> Number:
    """Reads a number.

    Args:
        text: How it is written.
        read: Converts it; raises ``ValueError`` where it is not a number.

    Raises:
        InputError: It is not a number, or too large for 64 bits.
    """
    if len(text) <= _LONGEST_NUMBER:
        try:
            number = read(text)
        except ValueError:
            raise InputError(f"expected a number, found {text!r}") from None
        overflows = isinstance(number, float) and math.isinf(number) and "inf" not in text.lower()
        if not overflows and (isinstance(number, float) or abs(number) <= _LARGEST_INTEGER):
            return number
    shown = text if len(text) <= _LONGEST_NUMBER else f"{text[:20]}... ({len(text)} characters)"
    raise InputError(f"expected a number that fits into 64 bits, found {shown}")
