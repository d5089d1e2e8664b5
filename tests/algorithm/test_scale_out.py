"""Training with several env runners and learners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ray.rllib.core import DEFAULT_MODULE_ID
from tracing import assert_runners_hold_what_was_learned

from rllib_ptm import PTM, PTMConfig
from rllib_ptm.replay.episodes import TeamEpisode

MakeConfig = Callable[..., PTMConfig]


@pytest.mark.usefixtures("cluster")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_env_runners", "num_learners", "num_envs"),
    [(0, 0, 1), (0, 1, 2), (1, 0, 3), (1, 1, 1), (2, 2, 5), (3, 0, 2)],
)
def test_any_number_of_each(
    make_config: MakeConfig, num_env_runners: int, num_learners: int, num_envs: int
) -> None:
    config = make_config().learners(num_learners=num_learners, num_gpus_per_learner=0)
    config.env_runners(num_env_runners=num_env_runners, num_envs_per_env_runner=num_envs)
    algorithm = config.build_algo()
    for _ in range(2):
        result = algorithm.train()
    assert result["num_env_steps_sampled_lifetime"] >= 200
    assert np.isfinite(result["learners"][DEFAULT_MODULE_ID]["total_loss"])
    played = sum(len(e) for e in algorithm.replay_buffer.get_state()["episodes"])
    assert played == result["num_env_steps_sampled_lifetime"]  # nothing twice, nothing lost
    assert_runners_hold_what_was_learned(algorithm)
    algorithm.stop()


def ragged(algorithm: PTM, episodes: int) -> list[TeamEpisode]:
    """Short episodes first, so that the learners' shards have different lengths and tasks."""
    played = algorithm.env_runner.sample(num_episodes=4 * episodes, epsilon=1.0)
    by_length = sorted(played, key=len)
    half = episodes // 2
    chosen = by_length[:half] + by_length[half - episodes :]
    assert len(chosen[0]) < len(chosen[-1])
    assert len({e.task for e in chosen}) > 1
    return chosen


@pytest.mark.usefixtures("cluster")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("training", "learners"),
    [
        ({"method": "ptm"}, 2),
        ({"method": "ptm"}, 3),
        ({"method": "ptm", "mining_scale": "original", "mining_alpha": "success"}, 2),
        ({"method": "ptm", "mining_episodes": 2}, 3),
        ({"method": "refil"}, 2),
    ],
)
def test_learners_take_the_steps_of_one(
    make_config: MakeConfig, training: dict[str, Any], learners: int
) -> None:
    """With an odd number of episodes of different lengths, and other priorities in each shard."""
    losses: list[float] = []
    steps: list[dict[str, np.ndarray]] = []
    for num_learners in (0, learners):
        config = make_config(**training, batch_size_episodes=7)
        algorithm = config.learners(num_learners=num_learners).build_algo()
        algorithm.set_win_rates({"2m_vs_2m": 1.0, "3m_vs_3m": 0.5, "2m_vs_3m": 0.0})
        algorithm.replay_buffer.add(ragged(algorithm, episodes=7))
        for _ in range(3):
            algorithm._learn()
        reported = algorithm.metrics.compile()["learners"][DEFAULT_MODULE_ID]
        losses.append(reported["total_loss"])
        steps.append(algorithm.learner_group.get_state()["learner"]["rl_module"][DEFAULT_MODULE_ID])
        algorithm.stop()
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert steps[0].keys() == steps[1].keys()
    for key, value in steps[0].items():
        np.testing.assert_allclose(steps[1][key], value, atol=1e-5, err_msg=key)
