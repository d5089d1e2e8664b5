"""Tasks and task sets by name.

A task's name follows SMAC's grammar: one or two armies of groups, each a number and the letters of
a unit type. ``"5m_vs_6m"`` is five marines against six, ``"2s3z"`` is two stalkers and three
zealots against the same army. A few maps of SMAC have names of their own (``"MMM2"``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ...checks.errors import InputError, Problems, unknown_name
from ..task_names import task_names
from .units import UNIT_TYPES

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

# SMAC's maps whose names do not follow the grammar.
NAMED_TASKS: dict[str, str] = {
    "MMM": "1md2M7m",
    "MMM2": "1md2M7m_vs_1md3M8m",
    "corridor": "6z_vs_24zg",
    "bane_vs_bane": "20zg4b",
    "so_many_baneling": "7z_vs_32b",
}

TASK_SETS: dict[str, tuple[str, ...]] = {
    "small_mt": ("5m_vs_5m", "6m_vs_6m", "5m_vs_6m"),
    "medium_mt": tuple(f"{n}m_vs_{n}m" for n in range(6, 12)),
    "large_mt": (
        "5m_vs_5m",
        "5m_vs_6m",
        "8m_vs_8m",
        "8m_vs_9m",
        "10m_vs_10m",
        "10m_vs_11m",
    ),
    "unseen": ("3m_vs_3m", "5m_vs_5m", "8m_vs_9m"),
}

_LETTERS = "|".join(sorted(UNIT_LETTERS, key=len, reverse=True))
_NUMBER = "[1-9][0-9]{0,2}"  # at most 999 units of a type
_ARMY = re.compile(rf"(?:{_NUMBER}(?:{_LETTERS}))+")
_GROUP = re.compile(rf"({_NUMBER})({_LETTERS})")

Battle = tuple[tuple[int, ...], tuple[int, ...]]  # the unit types of both armies, sorted


@dataclass(frozen=True)
class Task:
    """The armies of a battle.

    Attributes:
        name: The name that it was parsed from.
        allies: The unit type of each ally, as an index into ``UNIT_TYPES``.
        enemies: The unit type of each enemy, likewise.
    """

    name: str
    allies: tuple[int, ...]
    enemies: tuple[int, ...]

    @property
    def battle(self) -> Battle:
        """The units of both armies in a fixed order: equal for two names of one battle.

        The order in which a name gives its units changes nothing, as their slots are random.
        """
        return tuple(sorted(self.allies)), tuple(sorted(self.enemies))

    def unit_names(self) -> frozenset[str]:
        """The names of the unit types of both armies."""
        return frozenset(UNIT_TYPES[t] for t in self.allies + self.enemies)


@cache
def parse_task(name: str) -> Task:
    """Parses a task's name.

    Raises:
        InputError: The name does not follow the grammar.
    """
    allies, versus, enemies = NAMED_TASKS.get(name, name).partition("_vs_")
    return Task(name, _parse_army(name, allies), _parse_army(name, enemies if versus else allies))


def _parse_army(task_name: str, army: str) -> tuple[int, ...]:
    if not _ARMY.fullmatch(army):
        letters = ", ".join(f"{letter} {unit}" for letter, unit in UNIT_LETTERS.items())
        nearest = difflib.get_close_matches(task_name[:100], [*TASK_SETS, *NAMED_TASKS], n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise InputError(
            f"task {task_name!r:.100} cannot be read: {hint}expected a number and a unit letter "
            f"per group, such as '5m_vs_6m' or '2s3z'; letters: {letters}; "
            f"names: {', '.join(NAMED_TASKS)}; sets: {', '.join(TASK_SETS)}"
        )
    return tuple(
        UNIT_TYPES.index(UNIT_LETTERS[letter])
        for number, letter in _GROUP.findall(army)
        for _ in range(int(number))
    )


def parse_tasks(tasks: str | Sequence[str]) -> tuple[Task, ...]:
    """Parses the name of a task or of a task set, or a list of such names.

    A task that is in several sets of the list is played once. If the list itself has another name
    for a task of a set, it is played once under that name.

    Raises:
        InputError: A name cannot be parsed, or adds nothing to the list, or the list is empty.
    """
    if isinstance(tasks, str):
        known = tasks in TASK_SETS or tasks in NAMED_TASKS
        if not known and not any(character.isdigit() for character in tasks):
            raise unknown_name("tasks", tasks, [*TASK_SETS, *NAMED_TASKS, "5m_vs_6m"])
    names = task_names(tasks, TASK_SETS, "5m_vs_6m")
    written = {tasks} if isinstance(tasks, str) else {*tasks}
    parsed = []
    named: dict[Battle, str] = {}  # what stands in the list itself
    problems = Problems()
    for name in names:
        with problems.collect():
            task = parse_task(name)
            parsed.append(task)
            if name in written and (other := named.setdefault(task.battle, name)) != name:
                raise InputError(f"tasks: {other} and {name} are the same battle; leave one out")
    problems.raise_if_any()
    return tuple(task for task in parsed if named.get(task.battle, task.name) == task.name)
