"""Tasks and task sets by name.

A task's name is that of lbforaging's own environment without what comes before and after: the rows
and columns of the grid, the number of players and of foods. ``"8x8-2p-2f"`` is two players and two
foods on 8 by 8 cells; with ``-coop`` each food has the highest level (see ``Task``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from ...checks.errors import InputError, Problems, unknown_name
from ..task_names import task_names

EXAMPLE = "8x8-2p-2f-coop"
SMALLEST_SIDE, LARGEST_SIDE = 5, 50

TASK_SETS: dict[str, tuple[str, ...]] = {
    "foraging_small": (
        "5x5-2p-1f-coop",
        "6x6-2p-2f",
        "6x6-3p-2f-coop",
        "7x7-3p-3f",
        "8x8-2p-2f-coop",
    ),
    "foraging_large": (
        "8x8-2p-2f-coop",
        "10x10-3p-3f",
        "10x10-3p-3f-coop",
        "12x12-4p-4f",
        "15x15-3p-5f",
        "15x15-4p-5f",
    ),
    "foraging_unseen": ("8x8-4p-3f-coop", "10x10-4p-4f-coop", "10x10-5p-4f-coop"),
}

_NAME = re.compile(r"([1-9]\d?)x([1-9]\d?)-([1-9]\d?)p-([1-9]\d?)f(-coop)?")


@dataclass(frozen=True)
class Task:
    """A grid, its players and its foods.

    Players have level 1 or 2. A food is collected when players next to it load at the same time
    whose levels sum to its own at least. Its level is at most what the three players of the lowest
    levels have together.

    Attributes:
        name: The name that it was parsed from.
        rows: Of the grid.
        columns: Of the grid.
        players: Their number.
        foods: Their number.
        coop: Each food has the highest level; else levels are drawn from 1 to the highest.
    """

    name: str
    rows: int
    columns: int
    players: int
    foods: int
    coop: bool

    @property
    def most_players(self) -> int:
        """So many leave half of the cells free where food may be: all but those at the edge."""
        return (self.rows - 2) * (self.columns - 2) // 2

    @property
    def most_foods(self) -> int:
        """A food shares none of the four cells next to it with another food."""
        return self.rows * self.columns // 5


@cache
def parse_task(name: str) -> Task:
    """Parses a task's name.

    Raises:
        InputError: The name does not follow the grammar, or its grid is too small or too large.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        known = [*TASK_SETS, *chain.from_iterable(TASK_SETS.values())]
        nearest = difflib.get_close_matches(name[:100], known, n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise InputError(
            f"task {name!r:.100} cannot be read: {hint}expected the grid, the players and the "
            f"foods, such as {EXAMPLE!r} or '10x10-3p-3f'; sets: {', '.join(TASK_SETS)}"
        )
    rows, columns, players, foods = (int(number) for number in found.groups()[:4])
    task = Task(name, rows, columns, players, foods, found[5] is not None)
    _check_room(task)
    return task


def _check_room(task: Task) -> None:
    """Checks that players and foods fit in the grid.

    Raises:
        InputError: They do not.
    """
    sides = task.rows, task.columns
    if min(sides) < SMALLEST_SIDE or max(sides) > LARGEST_SIDE:
        raise InputError(
            f"task {task.name!r}: expected a grid of {SMALLEST_SIDE} to {LARGEST_SIDE} rows and "
            f"columns"
        )
    for found, most, what in (
        (task.players, task.most_players, "players"),
        (task.foods, task.most_foods, "foods"),
    ):
        if found > most:
            raise InputError(
                f"task {task.name!r}: a grid of {task.rows}x{task.columns} has room for at most "
                f"{most} {what}, found {found}"
            )


def parse_tasks(tasks: str | Sequence[str]) -> tuple[Task, ...]:
    """Parses the name of a task or of a task set, or a list of such names.

    A task that is in several sets of the list is played once.

    Raises:
        InputError: A name cannot be parsed, or adds nothing to the list, or the list is empty.
    """
    if isinstance(tasks, str) and tasks not in TASK_SETS and not re.search(r"\d", tasks):
        raise unknown_name("tasks", tasks, [*TASK_SETS, EXAMPLE])
    parsed = []
    problems = Problems()
    for name in task_names(tasks, TASK_SETS, EXAMPLE):
        with problems.collect():
            parsed.append(parse_task(name))
    problems.raise_if_any()
    return tuple(parsed)
