"""How many episodes end by the time limit, and when a task is warned of."""

from __future__ import annotations

import logging
from typing import cast

import pytest
from starcraft_game import starcraft

from rllib_ptm.environment.contract import TeamGame
from rllib_ptm.tasks.time_limits import TimeLimits, new_warnings

RAISE = "if its episodes need longer, raise env_config.time_limit_steps"


def test_the_share_is_that_of_the_last_episodes() -> None:
    limits = TimeLimits(["a", "b"], window_episodes=4)
    assert limits.shares == {"a": 0.0, "b": 0.0}
    limits.record("a", truncated=1, episodes=2)
    assert limits.shares == {"a": 0.5, "b": 0.0}
    limits.record("a", truncated=0, episodes=0)
    limits.record("a", truncated=3, episodes=3)
    assert limits.shares["a"] == 1.0  # of 0 1 1 1 1 the last four
    limits.record("a", truncated=900, episodes=1200)
    assert limits.shares["a"] == 0.75  # whatever their order was


@pytest.mark.parametrize(
    ("played", "warned"),
    [
        ([(99, 99)], 0),  # too few
        ([(100, 100)], 1),
        ([(80, 100)], 0),
        ([(81, 100)], 1),
        ([(40, 100)] * 20, 0),  # as an untrained policy plays
        ([(0, 100), (420, 500), (0, 500), (500, 500)], 1),  # once, whatever follows
        ([(3, 4)] * 20 + [(4, 4)] * 20, 1),
    ],
)
def test_a_task_is_warned_of_once(played: list[tuple[int, int]], warned: int) -> None:
    limits, windows = TimeLimits(["a", "b"], window_episodes=8), []
    for truncated, episodes in played:
        limits.record("a", truncated, episodes)
        limits.record("b", 0, episodes)
        windows.append(limits.take_new())
        resumed = TimeLimits(["a", "b"], window_episodes=8)
        resumed.set_state(limits.get_state())
        assert resumed.shares == limits.shares
        limits = resumed
    assert sum(map(len, windows)) == warned
    assert all(
        window.keys() <= {"a"} and min(window.values(), default=1) > 0.8 for window in windows
    )


def test_another_run_may_have_other_tasks() -> None:
    limits, other = TimeLimits(["a", "b"], 4), TimeLimits(["b", "c"], 4)
    limits.record("b", 1, 2)
    other.set_state(limits.get_state())
    assert other.shares == {"b": 0.5, "c": 0.0}


class Own:
    """An environment whose time limits are no settings."""

    name = "lake"


@pytest.mark.parametrize(
    ("game", "remedy"),
    [
        (starcraft("3z"), f"{RAISE} (now auto: 100 steps)"),
        (starcraft("3z", time_limit_steps=50), f"{RAISE} (now 50)"),
        (Own(), "environment 'lake' ends them by a limit of its own"),
    ],
)
def test_the_warning_says_what_to_do(
    game: object, remedy: str, caplog: pytest.LogCaptureFixture
) -> None:
    limits = TimeLimits(["3z"], 4)
    limits.record("3z", 93, 100)
    with caplog.at_level(logging.WARNING):
        lines = new_warnings(limits, cast("TeamGame", game))
        assert new_warnings(limits, cast("TeamGame", game)) == {}
    assert lines == {
        "3z": "task '3z': 93 % of its last 100 training episodes ended by the time limit; " + remedy
    }
    assert caplog.messages == list(lines.values())
