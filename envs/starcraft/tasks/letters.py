"""The letters that stand for unit types in the names of tasks."""

from __future__ import annotations

from ..units import UNIT_TYPES

UNIT_LETTERS: dict[str, str] = {
    "m": "marine",
    "M": "marauder",
    "md": "medivac",
    "s": "stalker",
    "z": "zealot",
    "c": "colossus",
    "h": "hydralisk",
    "zg": "zergling",
    "b": "baneling",
}

TYPE_OF_LETTER = {letter: UNIT_TYPES.index(unit) for letter, unit in UNIT_LETTERS.items()}
LETTER_OF_TYPE = {unit_type: letter for letter, unit_type in TYPE_OF_LETTER.items()}
