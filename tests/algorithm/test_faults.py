"""Training when a loss is not finite, or when a process is killed."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from conftest import wait_until
from ray import cloudpickle
from ray.rllib.core import DEFAULT_MODULE_ID
from tracing import assert_same

from rllib_ptm import PTM, PTMConfig
from rllib_ptm.checkpoints.folder import check_checkpoint
from rllib_ptm.learn.learner_timeout import LearnerLostError
from rllib_ptm.learn.non_finite import NonFiniteLossError
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.sampling_timeout import EnvRunnersLostError, SamplingTimeout

# Functions for other processes are pickled by value: these cannot import this file.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

pytestmark = pytest.mark.usefixtures("cluster")
MakeConfig = Callable[..., PTMConfig]
MakeAlgorithm = Callable[[PTMConfig], PTM]


@pytest.fixture
def make_algorithm() -> Iterator[MakeAlgorithm]:
    """Builds algorithms, and stops them after the test."""
    made: list[PTM] = []

    def make(config: PTMConfig) -> PTM:
        made.append(config.build_algo())
        return made[-1]

    yield make
    for algorithm in made:
        algorithm.stop()


def weights_of(algorithm: PTM) -> dict[str, np.ndarray]:
    return algorithm.learner_group.get_state()["learner"]["rl_module"][DEFAULT_MODULE_ID]


def weights_of_runners(algorithm: PTM) -> list[dict[str, np.ndarray]]:
    return algorithm.env_runner_group.foreach_env_runner(
        lambda runner: runner.module.get_state(), local_env_runner=False
    )


def pids(group: Any) -> list[int]:
    return group.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False)


def pids_of_learners(algorithm: PTM) -> list[int]:
    return [r.get() for r in algorithm.learner_group.foreach_learner(lambda _: os.getpid())]


def first_rank() -> bool:
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def spoil_loss(learner: Any) -> None:
    if first_rank():
        next(learner.module[DEFAULT_MODULE_ID].unwrapped().mixer.parameters()).data.fill_(torch.inf)


def spoil_gradient(learner: Any) -> None:
    parameter = next(learner.module[DEFAULT_MODULE_ID].unwrapped().agent.parameters())
    parameter.register_hook(lambda gradient: gradient * torch.nan)


@pytest.mark.parametrize(
    ("spoil", "learners", "what"),
    [
        (spoil_loss, 0, "total_loss is not finite on 1 learner, "),
        (spoil_gradient, 0, "grad_norm is not finite on 1 learner;"),
        pytest.param(spoil_loss, 2, "total_loss is not finite on 1 ", marks=pytest.mark.slow),
    ],
)
def test_a_loss_that_is_not_finite_changes_no_weight_and_keeps_its_batch(
    make_config: MakeConfig,
    make_algorithm: MakeAlgorithm,
    spoil: Callable[[Any], None],
    learners: int,
    what: str,
) -> None:
    """With two learners, the loss of one only is not finite."""
    algorithm = make_algorithm(make_config().learners(num_learners=learners))
    algorithm.train()
    algorithm.learner_group.foreach_learner(spoil)
    before = weights_of(algorithm)
    start = time.monotonic()
    with pytest.raises(NonFiniteLossError, match=what) as error:
        algorithm.train()
    assert time.monotonic() - start < 60
    assert_same(weights_of(algorithm), before)
    file = error.value.file
    assert file is not None
    assert str(file) in str(error.value)
    with np.load(file, allow_pickle=False) as batch:
        assert batch["task"].shape == batch["valid"].shape[:1] == (4,)
        assert {"entities", "actions", "rewards", "episode_weight"} <= set(batch.files)


@pytest.mark.slow
@pytest.mark.parametrize("num_env_runners", [1, 2])
def test_an_env_runner_that_is_killed_comes_back_with_the_right_weights(
    make_config: MakeConfig,
    make_algorithm: MakeAlgorithm,
    tmp_path: pathlib.Path,
    num_env_runners: int,
) -> None:
    algorithm = make_algorithm(make_config().env_runners(num_env_runners=num_env_runners))
    algorithm.train()
    group = algorithm.env_runner_group
    (killed, *_) = before = pids(group)
    os.kill(killed, signal.SIGKILL)

    def is_back() -> bool:
        algorithm.train()
        return group.num_remote_worker_restarts() == 1

    wait_until(is_back, seconds=120)
    algorithm.train()
    assert len(pids(group)) == num_env_runners
    assert killed not in pids(group)
    assert set(before) - {killed} <= set(pids(group))
    learned = {k: v for k, v in weights_of(algorithm).items() if k.startswith("agent.")}
    for weights in weights_of_runners(algorithm):
        assert_same(learned, weights)
    algorithm.save_to_path(tmp_path)
    check_checkpoint(tmp_path)


@pytest.mark.slow
def test_an_evaluation_runner_that_is_killed_comes_back(
    make_config: MakeConfig, make_algorithm: MakeAlgorithm
) -> None:
    config = make_config().evaluation(
        evaluation_interval=1,
        evaluation_duration=6,
        evaluation_num_env_runners=2,
        evaluation_config={"explore": False},
    )
    algorithm = make_algorithm(config)
    algorithm.train()
    group = algorithm.eval_env_runner_group
    os.kill(pids(group)[0], signal.SIGKILL)

    def is_back() -> bool:
        result = algorithm.train()
        assert sum(result["evaluation"]["env_runners"]["episodes"].values()) >= 6
        return group.num_remote_worker_restarts() == 1

    wait_until(is_back, seconds=120)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (signal.SIGKILL, "learner 1 of 2 died; .* start again from the last checkpoint"),
        (signal.SIGSTOP, r"learner .*did not answer within learner_timeout_s = 8 s; "),
    ],
)
def test_a_learner_that_is_lost_is_a_clear_error_and_the_checkpoint_is_good(
    make_config: MakeConfig, tmp_path: pathlib.Path, fault: signal.Signals, message: str
) -> None:
    algorithm = make_config(learner_timeout_s=8.0).learners(num_learners=2).build_algo()
    algorithm.train()
    algorithm.save_to_path(tmp_path / "before")
    victim = pids_of_learners(algorithm)[1]
    os.kill(victim, fault)
    start = time.monotonic()
    try:
        with pytest.raises(LearnerLostError, match=message):
            algorithm.train()
        if fault == signal.SIGKILL:
            with pytest.raises(LearnerLostError, match="learner 1 of 2 died before"):
                algorithm.save_to_path(tmp_path / "after")
    finally:
        if fault == signal.SIGSTOP:
            os.kill(victim, signal.SIGKILL)
    assert time.monotonic() - start < 60
    algorithm.stop()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["before"]
    resumed = PTM.from_checkpoint(tmp_path / "before")
    assert resumed.train()["training_iteration"] == 2
    resumed.stop()


def test_a_build_that_fails_ends_what_it_has_started(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = []
    monkeypatch.setattr(TeamEnvRunner, "stop", lambda self: stopped.append(self))

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no learner")

    monkeypatch.setattr(PTMConfig, "build_learner_group", fail)
    with pytest.raises(RuntimeError, match="no learner"):
        make_config().build_algo()
    assert len(stopped) == 1


@pytest.mark.slow
def test_an_env_runner_that_hangs_is_replaced_and_delays_one_iteration_only(
    make_config: MakeConfig, make_algorithm: MakeAlgorithm, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config().env_runners(num_env_runners=2)
    algorithm = make_algorithm(config)
    algorithm.train()
    algorithm.train()
    algorithm._training_calls._limit_s = 10.0
    group = algorithm.env_runner_group
    hung, other = pids(group)
    os.kill(hung, signal.SIGSTOP)
    start = time.monotonic()
    algorithm.train()
    assert time.monotonic() - start >= 10
    waited_for = []

    def is_back() -> bool:
        waited_for.append(len(algorithm._training_calls.idle()))
        algorithm.train()
        return group.num_remote_worker_restarts() == 1

    wait_until(is_back, seconds=600)
    assert set(waited_for) == {1}  # no iteration calls the hung runner, or waits for it
    late = [one for one in caplog.records if "the others go on without it" in one.getMessage()]
    assert len(late) == 1
    algorithm.train()
    assert hung not in pids(group)
    assert other in pids(group)
    learned = {k: v for k, v in weights_of(algorithm).items() if k.startswith("agent.")}
    for weights in weights_of_runners(algorithm):
        assert_same(learned, weights)


def test_training_without_episodes_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    timeout = SamplingTimeout(seconds=10.0)
    for now[0], episodes in ((1.0, 0), (9.0, 0), (10.0, 3), (15.0, 0), (25.0, 0)):
        timeout.check(episodes)
    now[0] = 25.1
    with pytest.raises(EnvRunnersLostError, match="sample_timeout_s = 10 s"):
        timeout.check(0)
