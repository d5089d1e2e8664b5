"""Reads the names of tasks and task sets.

A task's name follows SMAC's grammar: one or two armies of groups, each a number and the letters of
a unit type. ``"5m_vs_6m"`` is five marines against six, ``"2s3z"`` is two stalkers and three
zealots against the same army. A range in place of a number makes a family, which draws another
composition in each battle: ``"3-8sz"`` is three to eight units a side, each a stalker or a zealot.
Some maps of SMAC and some families have names of their own (``"MMM2"``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from ....checks.errors import InputError, Problems, located, unknown_name
from ...task_names import task_names
from .grammar import UnreadableError, read_armies
from .letters import UNIT_LETTERS
from .names import NAMED_TASKS, NO_TASKS, WEIGHTED_TASKS
from .nearest import KNOWN_NAMES, nearest_name
from .sets import TASK_SETS
from .task import Task

EXAMPLE = "5m_vs_6m"
_LONGEST = 100  # characters of a name that messages show


@cache
def parse_task(name: str) -> Task:
    """Parses a task's name.

    Raises:
        InputError: The name does not follow the grammar, or there is no such task.
    """
    if name in WEIGHTED_TASKS:
        return Task(name, WEIGHTED_TASKS[name])
    if name in NO_TASKS:
        raise InputError(f"task {name!r} cannot be played: {NO_TASKS[name]}")
    try:
        with located(f"task {name!r:.{_LONGEST}}: "):
            return Task(name, read_armies(NAMED_TASKS.get(name, name)))
    except UnreadableError as error:
        where = error.lines[0].partition(": ")[2]
        raise _unreadable(name, where) from None


def _unreadable(name: str, why: str) -> InputError:
    where = f"task {name!r:.{_LONGEST}} cannot be read"
    if "," in name:
        return InputError(f"{where}: several tasks are a list, such as [small_mt, 3-8sz]")
    if nearest := nearest_name(name[:_LONGEST]):
        return InputError(f"{where}: did you mean {nearest!r}? {why}")
    letters = ", ".join(f"{letter} {unit}" for letter, unit in UNIT_LETTERS.items())
    return InputError(
        f"{where}: {why}; expected a number and a unit letter per group, such as '5m_vs_6m' or "
        f"'2s3z', or a range and letters, such as '3-8sz'; letters: {letters}; sets: "
        f"{', '.join(TASK_SETS)}"
    )


def parse_tasks(tasks: str | Sequence[str]) -> tuple[Task, ...]:
    """Parses the name of a task or of a task set, or a list of such names.

    A task that is in several sets of the list is played once. If the list itself has another name
    for a task of a set, it is played once under that name. A family and one of its compositions are
    two tasks, and may both be in the list.

    Raises:
        InputError: A name cannot be parsed, or adds nothing to the list, or the list is empty.
    """
    if isinstance(tasks, str) and tasks not in KNOWN_NAMES and not re.search(r"[\d,]", tasks):
        raise unknown_name("tasks", tasks, [*TASK_SETS, EXAMPLE], KNOWN_NAMES)
    names = task_names(tasks, TASK_SETS, EXAMPLE)
    written = {tasks} if isinstance(tasks, str) else {*tasks}
    parsed = []
    named: dict[object, str] = {}  # the name of each battle or family
    problems = Problems()
    for name in sorted(names, key=lambda name: name not in written):
        with problems.collect():
            task = parse_task(name)
            parsed.append(task)
            other = named.setdefault(task.armies.key, name)
            if other != name and name in written:
                what = "family" if task.is_family else "battle"
                raise InputError(f"tasks: {other} and {name} are the same {what}; leave one out")
    problems.raise_if_any()
    parsed.sort(key=lambda task: names.index(task.name))
    return tuple(task for task in parsed if named[task.armies.key] == task.name)


def tasks_by_word(tasks: str | Sequence[str]) -> Iterator[tuple[str, tuple[Task, ...]]]:
    """What the user wrote, word by word, for messages: ``"task '3m'"``, ``"set 'small_mt'"``.

    Args:
        tasks: What ``parse_tasks`` can parse.

    Yields:
        The word, and its tasks.
    """
    for word in (tasks,) if isinstance(tasks, str) else tasks:
        members = tuple(parse_task(name) for name in TASK_SETS.get(word, (word,)))
        kind = "set" if word in TASK_SETS else "family" if members[0].is_family else "task"
        yield f"{kind} {word!r}", members
