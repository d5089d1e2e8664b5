"""Every method learns: it beats random play after a minute with the quick example's settings."""

from __future__ import annotations

import time

import numpy as np
import pytest

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.cli.read.examples import example
from rllib_ptm.cli.read.experiment import read_experiments
from rllib_ptm.methods import METHODS
from rllib_ptm.play.env_runner import TeamEnvRunner

SECONDS = 60.0
EPISODES_PER_TASK = 128


def play(runner: TeamEnvRunner, epsilon: float) -> tuple[float, float]:
    """Mean return and win rate over the same battles of every task, ε-greedily."""
    tasks = runner.task_names
    schedule = [(task, seed) for seed in range(EPISODES_PER_TASK) for task in tasks]
    episodes = runner.play_exactly(schedule, epsilon)
    returns = [episode.episode_return for episode in episodes]
    return float(np.mean(returns)), float(np.mean([episode.success for episode in episodes]))


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("method", METHODS)
def test_a_minute_of_training_beats_random_play(method: str) -> None:
    (experiment,) = read_experiments(example("ptm_small_mt_quick"))
    config = PTMConfig().update_from_dict({**experiment.config, "method": method})
    algorithm = config.build_algo()
    random_return, random_win_rate = play(algorithm.env_runner, epsilon=1.0)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        algorithm.train()
    greedy_return, greedy_win_rate = play(algorithm.env_runner, epsilon=0.0)
    algorithm.stop()
    # Standard errors are about .1 and .25. Few battles are won so early, none by chance.
    assert greedy_return > 2.0 * random_return
    assert greedy_win_rate > random_win_rate
