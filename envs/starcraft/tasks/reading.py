"""Reads the names of tasks and task sets.

A task's name follows SMAC's grammar: one or two armies of groups, each a number and the letters of
a unit type. ``"5m_vs_6m"`` is five marines against six, ``"2s3z"`` is two stalkers and three
zealots against the same army. A few maps of SMAC have names of their own (``"MMM2"``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache

from ....checks.errors import InputError, Problems, unknown_name
from ...task_names import task_names
from ..units import UNIT_TYPES
from .names import NAMED_TASKS, TASK_SETS, UNIT_LETTERS
from .task import Composition, Fixed, Task

_LETTERS = "|".join(sorted(UNIT_LETTERS, key=len, reverse=True))
_NUMBER = "[1-9][0-9]{0,2}"  # at most 999 units of a type
_ARMY = re.compile(rf"(?:{_NUMBER}(?:{_LETTERS}))+")
_GROUP = re.compile(rf"({_NUMBER})({_LETTERS})")


@cache
def parse_task(name: str) -> Task:
    """Parses a task's name.

    Raises:
        InputError: The name does not follow the grammar.
    """
    allies, versus, enemies = NAMED_TASKS.get(name, name).partition("_vs_")
    armies = _parse_army(name, allies), _parse_army(name, enemies if versus else allies)
    return Task(name, Fixed(Composition(*armies)))


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
    named: dict[str, str] = {}  # what stands in the list itself
    problems = Problems()
    for name in names:
        with problems.collect():
            task = parse_task(name)
            parsed.append(task)
            if name in written and (other := named.setdefault(_battle(task), name)) != name:
                raise InputError(f"tasks: {other} and {name} are the same battle; leave one out")
    problems.raise_if_any()
    return tuple(task for task in parsed if named.get(_battle(task), task.name) == task.name)


def _battle(task: Task) -> str:
    """Equal for two names of one battle."""
    return next(composition.name for composition, _ in task.compositions())
