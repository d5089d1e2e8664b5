from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from rllib_ptm.checks.errors import InputError
from rllib_ptm.learn.schedules import MINING_ALPHAS, interpolate
from rllib_ptm.tasks.success_rates import MINING_WEIGHTS, TaskSuccess


def test_a_win_rate_is_that_of_the_last_episodes() -> None:
    rates = TaskSuccess(["a", "b"], window_episodes=4)
    assert rates.rates == {"a": 0.0, "b": 0.0}
    rates.record("a", successes=1, episodes=2)
    assert rates.rates == {"a": 0.5, "b": 0.0}
    rates.record("a", successes=0, episodes=4)  # the win falls out of the window
    assert rates.rates["a"] == 0.0
    rates.record("a", successes=4, episodes=4)
    assert rates.rates["a"] == 1.0


@pytest.mark.parametrize("episodes", [3, 4, 8, 40])
def test_a_rate_does_not_depend_on_how_many_episodes_an_iteration_has(episodes: int) -> None:
    rates = TaskSuccess(["a"], window_episodes=4)
    rates.record("a", successes=episodes / 4, episodes=episodes)
    assert rates.rates["a"] == pytest.approx(0.25)


def _with_halves(priority: str) -> TaskSuccess:
    """Successes of 4 earlier and of 4 later episodes: progress .75, .25, 0 and 0."""
    halves = {"rises": (0, 3), "falls": (2, 1), "won": (4, 4), "lost": (0, 0)}
    success = TaskSuccess(list(halves), 8, priority)
    for task, (earlier, later) in halves.items():
        success.record(task, earlier, 4)
        success.record(task, later, 4)
    return success


def test_learning_progress_favours_tasks_whose_success_changes() -> None:
    success = _with_halves("learning_progress")
    assert success.progress == {"rises": 0.75, "falls": 0.25, "won": 0.0, "lost": 0.0}
    shares = {"rises": 0.05 + 0.8 * 0.75, "falls": 0.05 + 0.8 * 0.25, "won": 0.05, "lost": 0.05}
    assert success.priorities() == pytest.approx(shares)
    of_episodes = success.weights(["won", "rises", "rises"])
    assert of_episodes == pytest.approx([0.2 / 3, 0.2 / 3 + 0.4, 0.2 / 3 + 0.4])
    assert success.weights(["won", "lost"]) == pytest.approx([0.5, 0.5])


def test_priorities_may_be_uniform() -> None:
    success = _with_halves("uniform")
    assert set(success.priorities().values()) == {0.25}
    assert success.weights(["won", "lost", "lost"]) == pytest.approx([1 / 3] * 3)


def test_mining_weights_may_be_uniform_where_priorities_are_not() -> None:
    success = _with_halves("win_rate")
    tasks = ["won", "lost", "lost"]
    assert MINING_WEIGHTS["uniform"](success, tasks) == pytest.approx([1 / 3] * 3)
    assert MINING_WEIGHTS["priority"](success, tasks) == pytest.approx(success.weights(tasks))
    assert success.weights(tasks)[1] / success.weights(tasks)[0] == pytest.approx(math.e)


def test_what_is_won_less_has_the_higher_priority() -> None:
    rates = TaskSuccess(["won", "lost", "unplayed"], window_episodes=10)
    rates.record("won", successes=10, episodes=10)
    rates.record("lost", successes=0, episodes=10)
    priorities = rates.priorities()
    assert sum(priorities.values()) == pytest.approx(1.0)
    assert priorities["lost"] / priorities["won"] == pytest.approx(math.e)
    assert priorities["lost"] == priorities["unplayed"]


def test_a_temperature_makes_priorities_differ_more_or_less() -> None:
    success = TaskSuccess(["a", "b"], window_episodes=4, temperature=0.25)
    success.set_rates({"a": 0.5})
    priorities, weights = success.priorities(), success.weights(["a", "b"])
    assert priorities["b"] / priorities["a"] == pytest.approx(math.exp(0.5 / 0.25))
    assert weights[1] / weights[0] == pytest.approx(math.exp(0.5 / 0.25))


def test_alpha_falls_by_the_schedule_or_with_the_success_of_each_task() -> None:
    success = TaskSuccess(["a", "b"], window_episodes=4)
    success.set_rates({"a": 0.75})
    rates, config = success.rates_of(["a", "b", "a"]), SimpleNamespace(alpha_anneal_steps=100)
    assert MINING_ALPHAS["schedule"](25, config, rates) == 0.75
    of_success = MINING_ALPHAS["success"](25, config, rates)
    assert np.asarray(of_success).tolist() == [0.25, 1.0, 0.25]


def test_win_rates_survive_a_checkpoint() -> None:
    rates, restored = (TaskSuccess(["a", "b"], window_episodes=4) for _ in range(2))
    rates.record("a", successes=2, episodes=3)
    restored.set_state(rates.get_state())
    assert restored.rates == rates.rates
    other = TaskSuccess(["b", "c"], window_episodes=4)
    other.set_state(rates.get_state())
    assert other.rates == {"b": 0.0, "c": 0.0}


def test_set_rates_hold_until_the_task_is_recorded_again() -> None:
    success = TaskSuccess(["a", "b"], window_episodes=4)
    success.record("a", successes=1, episodes=2)
    success.set_rates({"a": 0.9})
    assert success.rates == {"a": 0.9, "b": 0.0}
    assert success.measured_rates == {"a": 0.5, "b": 0.0}
    assert success.priorities()["b"] / success.priorities()["a"] == pytest.approx(math.exp(0.9))
    success.record("a", successes=2, episodes=2)
    assert success.rates == {"a": 0.75, "b": 0.0}


@pytest.mark.parametrize(
    ("rates", "lines"),
    [
        ({"5m_vs_6": 0.5}, ["'5m_vs_6' is unknown; did you mean '5m_vs_6m'? legal: 3m, 5m_vs_6m"]),
        ({"3m": math.nan}, ["win_rates.3m: expected a number from 0 to 1, found nan"]),
        ({"3m": math.inf, "5m_vs_6m": -0.1}, ["win_rates.3m: ", "win_rates.5m_vs_6m: "]),
        ({"3m": 1.5}, ["found 1.5"]),
        ({"3m": None}, ["found None"]),
        ({"3m": "half"}, ["found 'half'"]),
        ({"3m": True}, ["found True"]),
    ],
)
def test_rates_that_cannot_be_are_refused_and_none_is_set(
    rates: dict[str, Any], lines: list[str]
) -> None:
    success = TaskSuccess(["3m", "5m_vs_6m"], window_episodes=4)
    success.set_rates({"3m": cast("float", np.float32(0.25)), "5m_vs_6m": 1})
    with pytest.raises(InputError) as error:
        success.set_rates({"5m_vs_6m": 0.75, **rates})
    assert len(error.value.lines) == len(lines)
    for line in lines:
        assert line in str(error.value)
    assert success.rates == {"3m": 0.25, "5m_vs_6m": 1.0}


def test_episodes_are_weighted_by_the_rate_of_their_task() -> None:
    success = TaskSuccess(["a", "b"], window_episodes=4)
    success.set_rates({"a": 1.0})
    weights = success.weights(["b", "a", "b"])
    assert weights.sum() == pytest.approx(1.0)
    assert weights[0] / weights[1] == pytest.approx(math.e)
    assert weights[0] == weights[2]
    assert success.numbers(["b", "a", "b"]).tolist() == [1, 0, 1]


def test_tasks_that_are_no_longer_trained_keep_their_rate_for_replay() -> None:
    before, after = (TaskSuccess(tasks, window_episodes=4) for tasks in (["a", "b"], ["c", "b"]))
    before.record("a", successes=2, episodes=2)
    after.set_state(before.get_state())
    after.record("b", successes=1, episodes=1)
    after.record("c", successes=0, episodes=1)
    assert after.rates == {"c": 0.0, "b": 1.0}
    assert after.priorities().keys() == {"c", "b"}
    weights = after.weights(["a", "b", "c"])
    assert weights[0] == weights[1]
    assert weights[2] / weights[0] == pytest.approx(math.e)
    assert after.numbers(["c", "b", "a"]).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("steps", "expected"), [(0, 1.0), (50, 0.5), (100, 0.0), (1000, 0.0), (-5, 1.0)]
)
def test_schedules_are_linear_and_then_stay(steps: float, expected: float) -> None:
    assert interpolate(steps, 1.0, 0.0, 100) == pytest.approx(expected)
