"""Names of tasks and of task sets, and what is wrong with others."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rllib_ptm.checks.errors import InputError
from rllib_ptm.envs.foraging.settings import ForagingSettings
from rllib_ptm.envs.foraging.tasks import TASK_SETS, Task, parse_task, parse_tasks


def test_a_name_says_grid_players_and_foods() -> None:
    assert parse_task("8x8-2p-2f") == Task("8x8-2p-2f", 8, 8, 2, 2, False)
    assert parse_task("10x12-3p-4f-coop") == Task("10x12-3p-4f-coop", 10, 12, 3, 4, True)


@pytest.mark.parametrize("name", TASK_SETS)
def test_every_set_can_be_played(name: str) -> None:
    tasks = parse_tasks(name)
    assert [task.name for task in tasks] == list(TASK_SETS[name])
    settings = ForagingSettings(tasks=name)
    assert settings.agent_slots == max(task.players for task in tasks)
    assert settings.food_slots == max(task.foods for task in tasks)


def test_the_default_set_has_five_tasks_of_different_sizes() -> None:
    tasks = ForagingSettings().parsed_tasks
    assert len({(task.rows, task.players, task.foods) for task in tasks}) >= 5


def test_larger_teams_than_any_of_the_default_set_are_in_a_set_of_their_own() -> None:
    trained, unseen = (ForagingSettings(tasks=f"foraging_{name}") for name in ("small", "unseen"))
    assert min(task.players for task in unseen.parsed_tasks) > trained.agent_slots


def test_a_set_and_a_task_can_be_mixed() -> None:
    names = [task.name for task in parse_tasks(["foraging_small", "15x15-4p-5f"])]
    assert names == [*TASK_SETS["foraging_small"], "15x15-4p-5f"]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("foraging_smal", "tasks: 'foraging_smal' is unknown; did you mean 'foraging_small'?"),
        ("8x8-2p-2f-cop", "did you mean '8x8-2p-2f-coop'? expected the grid, the players and"),
        ("8x8-2p", "task '8x8-2p' cannot be read"),
        ("08x8-2p-2f", "cannot be read"),
        ("4x8-1p-1f", "task '4x8-1p-1f': expected a grid of 5 to 50 rows and columns"),
        ("51x8-1p-1f", "expected a grid of 5 to 50"),
        ("5x5-5p-1f", "a grid of 5x5 has room for at most 4 players, found 5"),
        ("5x5-2p-6f", "a grid of 5x5 has room for at most 5 foods, found 6"),
        ([], "tasks: the list is empty; give a task such as '8x8-2p-2f-coop', or a task set"),
        (["8x8-2p-2f", 3], "tasks: expected task names, found 3"),
        (["8x8-2p-2f", "8x8-2p-2f"], "8x8-2p-2f stands twice in the list"),
        (["foraging_small", "8x8-2p-2f-coop"], "and in its set foraging_small, too"),
    ],
)
def test_wrong_tasks_are_refused_in_one_line(tasks: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        ForagingSettings(tasks=tasks)
    assert len(raised.value.lines) == 1
    assert raised.value.lines[0].startswith("tasks: ")
