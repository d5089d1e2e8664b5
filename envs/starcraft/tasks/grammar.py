"""Reads armies: ``"5m_vs_6m"``, ``"3-8sz"``, ``"3-6sz0-2c"``.

An army is one or more groups. A group is a number and a letter, or a range and letters: so many
units, each of any of the letters. Without ``_vs_`` both armies are alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from ....checks.errors import InputError
from ..team_view import MEDIVAC
from .letters import TYPE_OF_LETTER, UNIT_LETTERS
from .ranges import Group, Pair, Ranged
from .task import Armies, Composition, Fixed

MOST_UNITS = 100  # of each side
_LARGEST_NUMBER = 999

_GROUP = re.compile(r"([0-9]+)(?:-([0-9]+))?([A-Za-z]+)")
_ONLY_NUMBERS = re.compile(r"[0-9]+(?:-[0-9]+)?")
_LETTER = re.compile("|".join(sorted(UNIT_LETTERS, key=len, reverse=True)))


class UnreadableError(InputError):
    """A name does not follow the grammar; the message says where."""


def read_armies(text: str) -> Armies:
    """Reads one or two armies.

    Raises:
        UnreadableError: The text does not follow the grammar.
        InputError: It does, but there are no such armies.
    """
    ours, *theirs = text.split("_vs_")
    if len(theirs) > 1:
        raise UnreadableError("it has more than one '_vs_'")
    allies = _read_army(ours)
    enemies = _read_army(theirs[0]) if theirs else allies
    for army in (allies, enemies):
        _check_fighters(army)
    if all(_is_fixed(group) for group in (*allies, *enemies)):
        return Fixed(Composition(*(_units(army) for army in (allies, enemies))))
    for army in (allies, enemies):
        _check_letters(army)
    alike = not theirs or _alike(allies, enemies)
    pairs = _pairs(allies, () if alike else enemies)
    return Ranged(tuple(sorted(pairs)), alike)


def _read_army(army: str) -> tuple[Group, ...]:
    """The groups, in the order of the text.

    Raises:
        UnreadableError: The text does not follow the grammar.
        InputError: A group cannot be meant so.
    """
    if not army:
        raise UnreadableError("an army is missing")
    groups, rest = [], army
    while rest:
        found = _GROUP.match(rest)
        if found is None:
            if _ONLY_NUMBERS.fullmatch(rest):
                raise UnreadableError(f"the unit letters of {rest!r:.50} are missing")
            raise UnreadableError(f"expected a number and unit letters at {rest!r:.50}")
        groups.append(_read_group(*found.groups()))
        rest = rest[found.end() :]
    return tuple(groups)


def _read_group(first: str, last: str | None, letters: str) -> Group:
    """A group of units.

    Raises:
        UnreadableError: The text does not follow the grammar.
        InputError: The group cannot be meant so.
    """
    low, high = _number(first), _number(last or first)
    numbers = first if last is None else f"{first}-{last}"
    group = f"'{numbers}{letters:.50}'"
    types = _read_letters(letters)
    repeated = [letter for letter, count in Counter(types).items() if count > 1]
    if high == 0:
        kind = UnreadableError if last is None else InputError
        raise kind(f"there is no unit in {group}")
    if repeated:
        raise UnreadableError(f"letter {repeated[0]} stands twice in {group}")
    if last is None and len(types) > 1:
        raise UnreadableError(
            f"a number stands before each letter, or a range before several: "
            f"'{numbers}-{numbers}{letters:.50}' are {numbers} units, each of any of the letters"
        )
    if low > high:
        raise InputError(f"the range {numbers} runs backwards; write {last}-{first}{letters:.50}")
    return Group(low, high, tuple(sorted(TYPE_OF_LETTER[letter] for letter in types)))


def _number(text: str) -> int:
    if len(text) > 1 and text.startswith("0"):
        raise UnreadableError(f"number {text:.50} begins with 0")
    if len(text) > len(str(_LARGEST_NUMBER)):
        raise InputError(f"expected at most {MOST_UNITS} units a side, found {text:.50}")
    return int(text)


def _read_letters(text: str) -> list[str]:
    letters, rest = [], text
    while rest:
        found = _LETTER.match(rest)
        if found is None:
            raise UnreadableError(f"{rest!r:.50} is no unit letter")
        letters.append(found[0])
        rest = rest[found.end() :]
    return letters


def _check_fighters(army: Sequence[Group]) -> None:
    """Checks that an army always has a unit that can fight: else a battle is over at its start.

    Raises:
        InputError: It may have none.
    """
    if not any(group.low for group in army):
        raise InputError("an army may have no unit; begin a range at 1, or add a group")
    if not any(group.low and MEDIVAC not in group.types for group in army):
        raise InputError(
            "an army may have medivacs alone, which cannot fight; give it another unit in a group "
            "without them, as in '1m1md' or '2-6mM0-2md'"
        )


def _is_fixed(group: Group) -> bool:
    return group.width == 0 and len(group.types) == 1


def _units(army: Sequence[Group]) -> tuple[int, ...]:
    """The units of an army that has no choice, in the order of the text."""
    return tuple(chain.from_iterable(group.types * group.low for group in army))


def _check_letters(army: Sequence[Group]) -> None:
    """Checks that no type stands in two groups: some compositions would be drawn more often.

    Raises:
        InputError: One does.
    """
    types = Counter(chain.from_iterable(group.types for group in army))
    for letter, unit_type in TYPE_OF_LETTER.items():
        if types[unit_type] > 1:
            raise InputError(
                f"letter {letter} stands in {types[unit_type]} groups of an army with ranges"
            )


def _alike(allies: Sequence[Group], enemies: Sequence[Group]) -> bool:
    """Whether the armies are always the same, though each is written out."""
    ranges = [[group for group in army if group.width] for army in (allies, enemies)]
    choice = any(len(group.types) > 1 for group in allies)
    return ranges[0] == ranges[1] and sorted(allies) == sorted(enemies) and not choice


def _pairs(allies: Sequence[Group], enemies: Sequence[Group]) -> list[Pair]:
    """The groups whose numbers are drawn together: the k-th ranges of both armies.

    Raises:
        InputError: The ranges do not fit together.
    """
    fixed = [Pair((group,), ()) for group in allies if not group.width]
    fixed += [Pair((), (group,)) for group in enemies if not group.width]
    ours, theirs = ([group for group in army if group.width] for army in (allies, enemies))
    if not (ours and theirs):
        return fixed + [Pair((g,), ()) for g in ours] + [Pair((), (g,)) for g in theirs]
    ranges = "; ranges of both armies step together"
    if len(ours) != len(theirs):
        raise InputError(
            f"expected as many ranges of the allies as of the enemies, found {len(ours)} and "
            f"{len(theirs)}{ranges}"
        )
    for ally, enemy in zip(ours, theirs, strict=True):
        if ally.width != enemy.width:
            raise InputError(
                f"expected ranges of equal width, found {ally.low}-{ally.high} and "
                f"{enemy.low}-{enemy.high}{ranges}"
            )
    return fixed + [Pair((a,), (e,)) for a, e in zip(ours, theirs, strict=True)]
