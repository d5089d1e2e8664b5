"""What was probably meant by a name that cannot be read."""

from __future__ import annotations

import difflib
import re

from ....checks.errors import InputError
from .grammar import read_armies
from .letters import UNIT_LETTERS
from .names import NAMED_TASKS, WEIGHTED_TASKS
from .sets import TASK_SETS

KNOWN_NAMES = (*TASK_SETS, *NAMED_TASKS, *WEIGHTED_TASKS)

_CUTOFF = 0.75  # similarity from 0 to 1; a shorter range of other letters is less similar
_FEWEST_LETTERS = 3  # of a name's beginning, to tell the name
_LETTER_OF_UNIT = {unit: letter for letter, unit in UNIT_LETTERS.items()}
_LETTERS = re.compile("(?:" + "|".join(UNIT_LETTERS) + ")+")
# What people write in place of the dash of a range.
_DASH = re.compile(r"(?<=[0-9])(?:_|to|\.\.|\u2013|\u2014)(?=[0-9])")


def nearest_name(name: str) -> str | None:
    """The name that was probably meant; None if none is near."""
    armies = re.split("_vs_", _DASH.sub("-", name), flags=re.IGNORECASE)
    spelled = "_vs_".join(re.sub("[A-Za-z]+", _unit_letters, army) for army in armies)
    if _is_readable(spelled):
        return spelled
    small, in_lower_case = name.lower(), {known.lower(): known for known in KNOWN_NAMES}
    longer = [known for known in in_lower_case if known.startswith(small)]
    if longer and len(re.findall("[a-z]", small)) >= _FEWEST_LETTERS:
        return in_lower_case[longer[0]]
    found = difflib.get_close_matches(small, in_lower_case, n=1, cutoff=_CUTOFF)
    return in_lower_case[found[0]] if found else None


def _unit_letters(found: re.Match[str]) -> str:
    """The letters, or those that were probably meant."""
    word = found[0]
    for spelled in (word, word.lower()):
        if _LETTERS.fullmatch(spelled):
            return spelled
    if units := difflib.get_close_matches(word.lower(), _LETTER_OF_UNIT, n=1):
        return _LETTER_OF_UNIT[units[0]]
    letters = difflib.get_close_matches(word, UNIT_LETTERS, n=1)
    return letters[0] if letters else word


def _is_readable(text: str) -> bool:
    try:
        read_armies(text)
    except InputError:
        return False
    return True
