"""Training in which the env runners play the next round while the learner updates."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import pytest
from conftest import small_config, wait_until
from ray import cloudpickle
from ray.rllib.core import DEFAULT_MODULE_ID
from tracing import arrays_of, assert_runners_hold_what_was_learned, assert_same, changing, trace

from rllib_ptm import PTM, PTMConfig

# Functions for other processes are pickled by value: these cannot import this file.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

pytestmark = pytest.mark.usefixtures("cluster")
PLAYED_WITH = "played_with"


def note_weights(env_runner: Any, metrics_logger: Any, **_: Any) -> None:
    metrics_logger.log_value(PLAYED_WITH, env_runner._weights_seq_no, window=1)


def ahead(num_env_runners: int = 1) -> PTMConfig:
    """One round of play in each iteration, an evaluation after it, an update for each episode."""
    config = changing(small_config(play_ahead=True), num_env_runners)
    config.reporting(min_sample_timesteps_per_iteration=1)
    config.evaluation(evaluation_interval=1, evaluation_duration=1)
    return config.callbacks(on_sample_end=note_weights)


@pytest.fixture(scope="module")
def algorithm(cluster: None) -> Iterator[PTM]:
    algorithm = ahead().build_algo()
    yield algorithm
    algorithm.stop()


def test_play_is_one_round_of_updates_behind_and_evaluations_are_not(algorithm: PTM) -> None:
    results = [algorithm.train() for _ in range(5)]
    episodes = [result["env_runners"]["num_episodes"] for result in results]
    # The number of updates that the first rounds ask for, which the weights are numbered by.
    updates = [0, 0, *accumulate(episodes)]
    assert [r["env_runners"][PLAYED_WITH] for r in results] == updates[:5]
    evaluated = [r["evaluation"]["env_runners"][PLAYED_WITH] for r in results]
    assert evaluated == updates[1:6]


def test_it_resumes_as_if_it_had_continued(algorithm: PTM, tmp_path: pathlib.Path) -> None:
    algorithm.train()
    algorithm.save_to_path(tmp_path)
    expected, expected_arrays = trace(algorithm, 2), arrays_of(algorithm)
    algorithm.restore_from_path(tmp_path)
    assert trace(algorithm, 2) == expected
    assert_same(arrays_of(algorithm), expected_arrays)


def test_an_update_that_fails_leaves_nothing_under_way(
    algorithm: PTM, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("no update")

    algorithm.train()
    before = algorithm.episodes_played
    monkeypatch.setattr(algorithm, "_learn", fail)
    with pytest.raises(RuntimeError, match="no update"):
        algorithm.train()
    monkeypatch.undo()
    assert algorithm._training_calls.runners() == []
    assert algorithm.episodes_played > before
    assert algorithm.train()["learners"][DEFAULT_MODULE_ID]


@pytest.mark.slow
def test_a_runner_that_dies_while_it_plays_ahead_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    algorithm = ahead(num_env_runners=2).build_algo()
    group, learn = algorithm.env_runner_group, algorithm._learn
    for _ in range(2):
        algorithm.train()

    def kill_and_learn() -> None:
        monkeypatch.undo()
        (pid, _) = group.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False)
        os.kill(pid, signal.SIGKILL)
        learn()

    monkeypatch.setattr(algorithm, "_learn", kill_and_learn)

    def is_back() -> bool:
        algorithm.train()
        return group.num_healthy_remote_workers() == 2 and group.num_remote_worker_restarts() == 1

    wait_until(is_back, seconds=120)
    algorithm.train()
    assert_runners_hold_what_was_learned(algorithm)
    assert algorithm._training_calls.runners() == []
    algorithm.stop()
