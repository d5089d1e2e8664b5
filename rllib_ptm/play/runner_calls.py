"""Calls remote env runners with a time limit, and replaces those that hang.

RLlib drops an answer that is late and keeps the runner in service: each of its later calls waits
for the same runner again. It also waits for lost runners before every training step. Here a late
runner is out of service until it answers, a hung one is killed, so that Ray restarts it, and the
pings of lost runners are open while the others play.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.env.env_runner_group import EnvRunnerGroup

from rllib_ptm.play.callbacks import raise_error
from rllib_ptm.ray_private.algorithms import mark_lost, runner_actors

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_PINGS = 1.0
# A runner that misses its time limit so many times in a row hangs.
_LIMITS_OF_A_HUNG_RUNNER = 2


@dataclass
class Answer:
    """What a runner returned.

    Attributes:
        request: What the caller passed with the call.
        result: The function's result.
    """

    request: Any
    result: Any


@dataclass
class _Call:
    ref: ray.ObjectRef
    request: Any = None
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since


class RunnerCalls:
    """The open calls of a group's remote runners; each runner has at most one.

    Args:
        group: The runners.
        name: What to call one of them in the log.
        limit_s: The time limit of an answer.
        go_on_without: Whether the others go on if a runner is lost; else that is an error.
    """

    def __init__(
        self, group: EnvRunnerGroup, name: str, limit_s: float, go_on_without: bool
    ) -> None:
        self._group = group
        self._name = name
        self._limit_s = limit_s
        self._go_on_without = go_on_without
        self._open: dict[int, _Call] = {}
        self._pings: dict[int, _Call] = {}
        self._last_ping: dict[int, float] = {}

    def idle(self) -> list[int]:
        """The runners that are in service and have no open call."""
        return [n for n in self._group.healthy_env_runner_ids() if n not in self._open]

    def runners(self) -> list[int]:
        """The runners with an open call."""
        return list(self._open)

    def requests(self) -> list[Any]:
        """What the open calls of runners in service were sent with."""
        return [self._open[n].request for n in self._in_service(self._open)]

    def late(self) -> list[int]:
        """The runners in service that have missed the time limit."""
        return [n for n in self._in_service(self._open) if self._open[n].seconds > self._limit_s]

    def send(self, runner: int, function: Callable[[Any], Any], request: Any = None) -> None:
        """Calls a function of an idle runner, without waiting for it.

        Args:
            runner: The runner's number.
            function: Its argument is the runner.
            request: Comes back with the answer.
        """
        actor = runner_actors(self._group)[runner]
        self._open[runner] = _Call(actor.apply.remote(function), request)

    def wait_for(self, runners: Collection[int]) -> None:
        """Waits until runners with open calls have answered, or the first misses its limit.

        Args:
            runners: Their numbers; the time limit of each counts from its call.
        """
        calls = [self._open[runner] for runner in runners]
        seconds = max((call.seconds for call in calls), default=0.0)
        if calls:
            refs = [call.ref for call in calls]
            ray.wait(refs, num_returns=len(refs), timeout=max(self._limit_s - seconds, 0.0))

    def wait_for_any(self, timeout_s: float = _SECONDS_BETWEEN_PINGS) -> None:
        """Waits until any runner has answered, also one that is out of service."""
        self._send_pings()
        calls = [call.ref for call in (*self._open.values(), *self._pings.values())]
        if calls:
            ray.wait(calls, timeout=timeout_s)
        else:
            time.sleep(timeout_s)

    def collect(self) -> list[Answer]:
        """The answers that have come in, in the order of the calls; also late ones.

        Raises:
            CallbackError: A callback of the user's has failed on a runner.
            FailingEnvironmentError: An environment has failed too often there.
            RayError: A runner is lost, and the others are not to go on without it.
        """
        answers = []
        for runner in _ready(self._open):
            call = self._open.pop(runner)
            try:
                result = raise_error(ray.get(call.ref))
                answers.append(Answer(call.request, result))
            except RayError as error:
                if not self._go_on_without:
                    raise
                mark_lost(self._group, runner)
                reason = " ".join(str(error).split())
                logger.warning("%s %d is lost: %.300s", self._name, runner, reason)
        return answers

    def take_out_of_service(
        self, runners: Iterable[int], why: str = "the others go on without it"
    ) -> None:
        """Lets nothing wait any longer for runners that have not answered.

        Args:
            runners: Runners with open calls; nothing happens to those out of service already.
            why: For the log.
        """
        for runner in self._in_service(runners):
            mark_lost(self._group, runner)
            logger.warning(
                "%s %d has not answered for %.3g s: %s",
                self._name,
                runner,
                self._open[runner].seconds,
                why,
            )

    def replace_hung(self) -> list[int]:
        """Kills the runners that missed their time limit twice in a row; Ray restarts them.

        Returns:
            Their numbers.
        """
        limit = _LIMITS_OF_A_HUNG_RUNNER * self._limit_s
        hung = [runner for runner, call in self._open.items() if call.seconds > limit]
        for runner in hung:
            mark_lost(self._group, runner)
            ray.kill(runner_actors(self._group)[runner], no_restart=False)
            logger.warning(
                "%s %d hangs: it has not answered for %.3g s, %d times its time limit; "
                "it is killed and replaced",
                self._name,
                runner,
                self._open.pop(runner).seconds,
                _LIMITS_OF_A_HUNG_RUNNER,
            )
        return hung

    def back(self) -> list[int]:
        """The runners out of service that answer again; does not wait for the others."""
        self._send_pings()
        back = []
        for runner in _ready(self._pings):
            if runner in self._open:  # its answer has come in too, and is to be collected first
                continue
            try:
                ray.get(self._pings.pop(runner).ref)
            except RayError:  # it is about to restart, or lost: it is pinged again
                continue
            back.append(runner)
        return back

    def return_to_service(self, runners: list[int], function: Any, **kwargs: Any) -> list[int]:
        """Calls a function of runners that are back; those that answer are in service.

        Args:
            runners: Some of those that ``back`` returned.
            function: The function.
            **kwargs: Other arguments of ``EnvRunnerGroup.foreach_env_runner``.

        Returns:
            The runners that are in service now.
        """
        if runners:
            self._group.foreach_env_runner(
                function,
                remote_worker_ids=runners,
                local_env_runner=False,
                healthy_only=False,
                mark_healthy=True,
                **kwargs,
            )
        return self._in_service(runners)

    def _in_service(self, runners: Iterable[int]) -> list[int]:
        healthy = self._group.healthy_env_runner_ids()
        return [runner for runner in runners if runner in healthy]

    def _send_pings(self) -> None:
        """Pings the runners out of service: one open ping each, and not too often."""
        now = time.monotonic()
        healthy = self._group.healthy_env_runner_ids()
        for runner, actor in runner_actors(self._group).items():
            if runner in healthy:
                self._pings.pop(runner, None)
            elif (
                runner not in self._pings
                and now - self._last_ping.get(runner, -math.inf) > _SECONDS_BETWEEN_PINGS
            ):
                self._pings[runner] = _Call(actor.ping.remote())
                self._last_ping[runner] = now


def goes_on_without_runners(config: AlgorithmConfig) -> bool:
    """Whether the others go on if a runner is lost; else that is an error."""
    return bool(config.restart_failed_env_runners or config.ignore_env_runner_failures)


def stop_runners(group: EnvRunnerGroup, timeout_s: float) -> None:
    """Stops the remote runners of a group; one that does not answer in time is killed.

    Args:
        group: The group; it has no remote runners any more.
        timeout_s: The time limit. Nothing waits for those that are out of service already.
    """
    healthy = group.healthy_env_runner_ids()
    calls = {n: actor.apply.remote(_stop) for n, actor in runner_actors(group).items()}
    if waited := [call for runner, call in calls.items() if runner in healthy]:
        ray.wait(waited, num_returns=len(waited), timeout=timeout_s)
    group.reset([])  # ends their processes


def _stop(runner: Any) -> None:
    runner.stop()


def _ready(calls: dict[int, _Call]) -> list[int]:
    if not calls:
        return []
    refs = [call.ref for call in calls.values()]
    ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
    return [runner for runner, call in calls.items() if call.ref in ready]
