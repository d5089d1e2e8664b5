"""Calls of runners that hang, die and come back; the runners are small actors of Ray's."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import ray
from conftest import wait_until
from ray import cloudpickle
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.env.env_runner_group import EnvRunnerGroup

from rllib_ptm.evaluate import runner_group
from rllib_ptm.evaluate.runner_group import EvaluationIncompleteError, play_on_group
from rllib_ptm.play.evaluation_episodes import evaluation_episodes
from rllib_ptm.play.round import Round
from rllib_ptm.play.runner_calls import RunnerCalls, stop_runners
from rllib_ptm.play.sampling_timeout import EnvRunnersLostError, SamplingTimeout

# Functions for other processes are pickled by value: these cannot import this file.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

pytestmark = pytest.mark.usefixtures("cluster")
LIMIT_S = 1.0
SCHEDULE = evaluation_episodes(["2m_vs_2m", "3m_vs_3m"], 3, seed=7)


class SmallRunner:
    """What is called of an env runner."""

    def ping(self) -> str:
        return "pong"

    def apply(self, func: Callable[..., Any], **kwargs: Any) -> Any:
        return func(self, **kwargs)

    def stop(self) -> None:
        pass


def play_small(runner: Any, schedule: Sequence[Any], weights: Any) -> list[Any]:
    """Plays nothing; each outcome names its episode, and nothing large is imported for it."""
    return [(task, 1.0, float(seed), 5) for task, seed in schedule]


@pytest.fixture
def group() -> Iterator[EnvRunnerGroup]:
    """Two runners."""
    actor = ray.remote(num_cpus=0, max_restarts=-1)(SmallRunner)
    group = EnvRunnerGroup(config=AlgorithmConfig(), _setup=False)
    group._local_env_runner = None
    group._worker_manager.add_actors([actor.remote() for _ in range(2)])
    ray.get([actor.ping.remote() for actor in group._worker_manager.actors().values()])
    yield group
    group.reset([])


def calls_of(group: EnvRunnerGroup, limit_s: float = LIMIT_S) -> RunnerCalls:
    return RunnerCalls(group, "env runner", limit_s, go_on_without=True)


def pid(runner: Any) -> int:
    return os.getpid()


def sleep_and_tell(runner: Any) -> int:
    time.sleep(LIMIT_S / 2)
    return os.getpid()


def bring_back(calls: RunnerCalls) -> list[int]:
    return calls.return_to_service(calls.back(), "ping", timeout_seconds=10)


def test_a_runner_that_hangs_delays_one_call_only_and_is_replaced(
    group: EnvRunnerGroup, caplog: pytest.LogCaptureFixture
) -> None:
    calls = calls_of(group)
    hung, other = Round(calls, pid).results()
    os.kill(hung, signal.SIGSTOP)
    start = time.monotonic()
    assert Round(calls, pid).results() == [other]
    assert time.monotonic() - start >= LIMIT_S
    assert group.healthy_env_runner_ids() == [2]
    while not calls.replace_hung():
        before = time.monotonic()
        assert Round(calls, pid).results() == [other]
        assert bring_back(calls) == []
        assert time.monotonic() - before < LIMIT_S
        assert time.monotonic() - start < 3 * LIMIT_S
    assert [r.getMessage().split(":")[0] for r in caplog.records if "hangs" in r.getMessage()] == [
        "env runner 1 hangs"
    ]
    wait_until(lambda: bring_back(calls) == [1], seconds=60)
    replaced, same = Round(calls, pid).results()
    assert (replaced != hung, same) == (True, other)
    assert group.num_remote_worker_restarts() == 1


def test_a_late_answer_is_used_and_its_runner_returns(group: EnvRunnerGroup) -> None:
    calls = calls_of(group)
    late, other = Round(calls, pid).results()
    os.kill(late, signal.SIGSTOP)
    assert Round(calls, pid).results() == [other]
    os.kill(late, signal.SIGCONT)
    seen: list[int] = []

    def is_back() -> bool:
        seen.extend(Round(calls, pid).results())
        return bring_back(calls) == [1]

    wait_until(is_back, seconds=30)
    assert seen.count(late) == 1
    assert Round(calls, pid).results() == [late, other]
    assert calls.replace_hung() == []


def test_a_round_under_way_loses_the_runner_that_dies_and_counts_its_limit_from_the_call(
    group: EnvRunnerGroup,
) -> None:
    calls = calls_of(group, limit_s=60.0)
    killed, other = Round(calls, pid).results()
    under_way = Round(calls, sleep_and_tell)
    os.kill(killed, signal.SIGKILL)
    assert under_way.results() == [other]
    calls._limit_s = LIMIT_S
    os.kill(other, signal.SIGSTOP)
    under_way = Round(calls, pid)
    time.sleep(LIMIT_S)
    start = time.monotonic()
    assert under_way.results() == []
    assert time.monotonic() - start < LIMIT_S / 2
    os.kill(other, signal.SIGCONT)


def test_a_lost_runner_that_cannot_restart_delays_nothing(group: EnvRunnerGroup) -> None:
    calls = calls_of(group, limit_s=60.0)
    first, other = Round(calls, pid).results()
    ray.kill(group._worker_manager.actors()[1], no_restart=True)
    wait_until(lambda: Round(calls, pid).results() == [other], seconds=30)
    start = time.monotonic()
    for _ in range(100):
        assert bring_back(calls) == []
        assert Round(calls, pid).results() == [other]
    assert time.monotonic() - start < 10
    assert first != other


def test_without_any_runner_calls_wait_for_one_and_do_not_spin(group: EnvRunnerGroup) -> None:
    calls = calls_of(group)
    for actor in group._worker_manager.actors().values():
        ray.kill(actor, no_restart=True)
    wait_until(lambda: Round(calls, pid).results() == [], seconds=30)
    start = time.process_time()
    for _ in range(3):
        assert Round(calls, pid).results() == []
    assert time.process_time() - start < 0.5


def test_a_lost_runner_is_an_error_if_the_config_says_so(group: EnvRunnerGroup) -> None:
    calls = RunnerCalls(group, "env runner", LIMIT_S, go_on_without=False)
    ray.kill(group._worker_manager.actors()[1], no_restart=True)
    with pytest.raises(ray.exceptions.RayActorError):
        wait_until(lambda: not Round(calls, pid).results(), seconds=30)


@pytest.fixture
def small_play(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_group, "play_on_runner", play_small)


def expected() -> list[Any]:
    return play_small(None, SCHEDULE, None)


@pytest.mark.usefixtures("small_play")
def test_what_a_hung_evaluation_runner_holds_is_played_by_the_others(
    group: EnvRunnerGroup, caplog: pytest.LogCaptureFixture
) -> None:
    calls = RunnerCalls(group, "evaluation runner", LIMIT_S, go_on_without=True)
    weights = ray.put({})
    hung, _ = Round(calls, pid).results()
    assert play_on_group(calls, SCHEDULE, weights, 2 * LIMIT_S) == expected()
    os.kill(hung, signal.SIGSTOP)
    assert play_on_group(calls, SCHEDULE, weights, 2 * LIMIT_S) == expected()
    while "evaluation runner 1 hangs" not in caplog.text:  # it is not called again
        before = time.monotonic()
        assert play_on_group(calls, SCHEDULE, weights, 2 * LIMIT_S) == expected()
        assert time.monotonic() - before < LIMIT_S
    assert group.healthy_env_runner_ids() == [2]


@pytest.mark.usefixtures("small_play")
def test_an_evaluation_whose_runners_all_hang_ends_in_time(group: EnvRunnerGroup) -> None:
    calls = calls_of(group)
    for process in Round(calls, pid).results():
        os.kill(process, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(EvaluationIncompleteError, match="6 of 6 evaluation episodes"):
        play_on_group(calls, SCHEDULE, ray.put({}), 2 * LIMIT_S)
    assert time.monotonic() - start < 3 * LIMIT_S


def test_stopping_does_not_wait_for_a_runner_that_hangs(group: EnvRunnerGroup) -> None:
    hung, _ = Round(calls_of(group), pid).results()
    os.kill(hung, signal.SIGSTOP)
    start = time.monotonic()
    stop_runners(group, timeout_s=LIMIT_S)
    assert time.monotonic() - start < 3 * LIMIT_S
    assert group.num_remote_env_runners() == 0


def test_a_replaced_runner_gets_time_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    timeout = SamplingTimeout(seconds=10.0)
    timeout.check(0)
    now[0] = 11.0
    timeout.runner_replaced()
    timeout.check(0)
    now[0] = 22.0
    timeout.runner_replaced()  # the replacement hangs too
    with pytest.raises(EnvRunnersLostError):
        timeout.check(0)
