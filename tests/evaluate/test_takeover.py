"""What the log says of runners that an evaluation no longer waits for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from rllib_ptm.evaluate.runner_group import EvaluationIncompleteError, play_on_group
from rllib_ptm.play.evaluation_episodes import evaluation_episodes
from rllib_ptm.play.runner_calls import Answer

SCHEDULE = evaluation_episodes(["2m_vs_2m"], 4, seed=7)


class TwoRunners:
    """Calls of two runners: the first is late, and answers ahead of the one that takes over."""

    def __init__(self, *, answers: bool) -> None:
        self.taken_out: list[tuple[list[int], str]] = []
        self._answers = answers
        self._open: dict[int, Any] = {}
        self._out: set[int] = set()

    def replace_hung(self) -> None: ...

    def back(self) -> list[int]:
        return []

    def return_to_service(self, *args: Any, **kwargs: Any) -> None: ...

    def idle(self) -> list[int]:
        return [runner for runner in (1, 2) if runner not in self._open]

    def runners(self) -> list[int]:
        return list(self._open)

    def late(self) -> list[int]:
        return [1] if 1 in self._open else []

    def requests(self) -> list[Any]:
        return [share for runner, share in self._open.items() if runner not in self._out]

    def take_out_of_service(self, runners: Iterable[int], why: str = "late") -> None:
        if taken := list(runners):
            self.taken_out.append((taken, why))
            self._out |= set(taken)

    def send(self, runner: int, function: Any, share: Any) -> None:
        self._open[runner] = share

    def wait_for_any(self, timeout_s: float) -> None: ...

    def collect(self) -> list[Answer]:
        """First the second runner answers, then the first: the second has its share by then."""
        taken_over = 1 in self._out
        runner = 1 if taken_over else 2
        if runner not in self._open or (taken_over and not self._answers):
            return []
        share = self._open.pop(runner)
        return [Answer(share, [f"played {number}" for number in share.numbers])]


def test_a_runner_that_was_overtaken_is_not_called_late() -> None:
    calls: Any = TwoRunners(answers=True)
    assert len(play_on_group(calls, SCHEDULE, None, timeout_s=60)) == len(SCHEDULE)
    late, overtaken = calls.taken_out
    assert late == ([1], "late")
    assert overtaken[0] == [2]
    assert "another runner has played the same games by now" in overtaken[1]


def test_the_end_of_the_time_is_the_reason() -> None:
    calls: Any = TwoRunners(answers=False)
    with pytest.raises(EvaluationIncompleteError):
        play_on_group(calls, SCHEDULE, None, timeout_s=0.1)
    assert calls.taken_out[-1][1].startswith("the time of the evaluation is over")
