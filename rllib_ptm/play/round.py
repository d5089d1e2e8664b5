"""A round of play: one call of all env runners, which may be under way while the driver works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rllib_ptm.play.runner_calls import RunnerCalls


class Round:
    """A call of all runners in service. It is sent at once, and does not wait.

    A runner that misses the time limit is out of service: the next round does not wait for it.

    Args:
        calls: The calls of the group.
        function: Its argument is the runner.
    """

    def __init__(self, calls: RunnerCalls, function: Callable[[Any], Any]) -> None:
        self._calls = calls
        self._late = calls.collect()
        self._runners = calls.idle()
        for runner in self._runners:
            calls.send(runner, function)

    def results(self) -> list[Any]:
        """Waits up to the time limit, which counts from the call.

        Returns:
            The results: first those that late runners had sent before this round, then those of
            this round in the order of the runners.
        """
        if self._runners:
            self._calls.wait_for(self._runners)
        elif not self._late:
            self._calls.wait_for_any()
        answers = self._late + self._calls.collect()
        self._calls.take_out_of_service(self._calls.runners())
        return [answer.result for answer in answers]


class LocalRound:
    """A round of the driver's own env runner: it plays when the results are asked for.

    Args:
        runner: The runner.
        function: Its argument is the runner.
    """

    def __init__(self, runner: Any, function: Callable[[Any], Any]) -> None:
        self._runner = runner
        self._function = function

    def results(self) -> list[Any]:
        """Plays, and returns the one result."""
        return [self._function(self._runner)]
