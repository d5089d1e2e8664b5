"""The task that the options of ``reset`` name."""

from typing import Any

import pytest

from rllib_ptm import InputError
from rllib_ptm.envs.task_names import task_to_play

TASKS = ["3m", "3-8sz"]


@pytest.mark.parametrize("options", [None, {}, {"something": "else"}, {1: 2}])
def test_options_without_a_task_leave_the_drawn_one(options: Any) -> None:
    assert task_to_play(options, TASKS, "3m") == "3m"


def test_options_choose_the_task() -> None:
    assert task_to_play({"task": "3-8sz"}, TASKS, "3m") == "3-8sz"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "3-8zs"}, "'3-8zs' is unknown; did you mean '3-8sz'?"),
        ({"task": None}, "None is unknown; legal: 3-8sz, 3m"),
        ({"task": ["3m"]}, r"\['3m'\] is unknown"),
        ({"tasks": "3m"}, "unknown key 'tasks'; did you mean 'task'?"),
        ({"Task": "3m"}, "unknown key 'Task'; did you mean 'task'?"),
        ("3m", "expected a dict such as {'task': '3m'}, found '3m'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")) as error:
        task_to_play(options, TASKS, "3m")
    assert len(error.value.lines) == 1
