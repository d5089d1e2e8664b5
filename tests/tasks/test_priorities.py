from __future__ import annotations

import math

import pytest

from rllib_ptm.learn.schedules import linear
from rllib_ptm.tasks.success_rates import TaskSuccess


def test_a_win_rate_is_that_of_the_last_episodes() -> None:
    rates = TaskSuccess(["a", "b"], window_episodes=4)
    assert rates.rates == {"a": 0.0, "b": 0.0}
    rates.record("a", successes=1, episodes=2)
    assert rates.rates == {"a": 0.5, "b": 0.0}
    rates.record("a", successes=0, episodes=3)  # the first win falls out of the window
    assert rates.rates["a"] == 0.0
    rates.record("a", successes=4, episodes=4)
    assert rates.rates["a"] == 1.0


def test_what_is_won_less_has_the_higher_priority() -> None:
    rates = TaskSuccess(["won", "lost", "unplayed"], window_episodes=10)
    rates.record("won", successes=10, episodes=10)
    rates.record("lost", successes=0, episodes=10)
    priorities = rates.priorities()
    assert sum(priorities.values()) == pytest.approx(1.0)
    assert priorities["lost"] / priorities["won"] == pytest.approx(math.e)
    assert priorities["lost"] == priorities["unplayed"]


def test_win_rates_survive_a_checkpoint() -> None:
    rates, restored = (TaskSuccess(["a", "b"], window_episodes=4) for _ in range(2))
    rates.record("a", successes=2, episodes=3)
    restored.set_state(rates.get_state())
    assert restored.rates == rates.rates
    other = TaskSuccess(["b", "c"], window_episodes=4)
    other.set_state(rates.get_state())
    assert other.rates == {"b": 0.0, "c": 0.0}


@pytest.mark.parametrize(
    ("steps", "expected"), [(0, 1.0), (50, 0.5), (100, 0.0), (1000, 0.0), (-5, 1.0)]
)
def test_schedules_are_linear_and_then_stay(steps: float, expected: float) -> None:
    assert linear(steps, 1.0, 0.0, 100) == pytest.approx(expected)
