"""The flat observations under SuperSuit's wrappers, with random agents."""

from typing import Any

import numpy as np
import pytest
from situations import SLOTS

from rllib_ptm import envs
from rllib_ptm.envs.starcraft.tasks import TASK_SETS
from rllib_ptm.envs.starcraft.team_view import num_features

supersuit = pytest.importorskip("supersuit")

ACTIONS = 6 + SLOTS
SIZE = 2 * SLOTS * num_features(SLOTS, SLOTS) + ACTIONS


def vectorised(tasks: str) -> Any:
    environment = envs.parallel_env(tasks, flat=True, max_allies=SLOTS, max_enemies=SLOTS)
    environment = supersuit.black_death_v3(environment)
    environment = supersuit.pad_observations_v0(environment)
    environment = supersuit.pad_action_space_v0(environment)
    return supersuit.pettingzoo_env_to_vec_env_v1(environment)


def random_actions(observations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random allowed actions. Dead agents observe zeros and choose the no-op."""
    allowed = observations[:, -ACTIONS:]
    return np.where(allowed > 0, rng.random(allowed.shape), -1.0).argmax(-1)


def test_random_agents_play_on_through_deaths_and_new_battles() -> None:
    vector = vectorised("large_mt")
    rng = np.random.default_rng(0)
    assert vector.num_envs == SLOTS
    observations, _ = vector.reset(seed=0)
    total, endings, tasks = 0.0, 0, set()
    for _ in range(600):
        observations, rewards, terminations, truncations, infos = vector.step(
            random_actions(observations, rng)
        )
        assert observations.shape == (SLOTS, SIZE)
        assert rewards.shape == terminations.shape == truncations.shape == (SLOTS,)
        # Under black_death all agents end together.
        assert terminations.all() == terminations.any()
        endings += bool(terminations.all())
        tasks |= {info["task"] for info in infos if "task" in info}
        total += rewards.sum()
    assert endings > 10
    assert tasks == set(TASK_SETS["large_mt"])
    assert total > 0


def test_several_battles_side_by_side() -> None:
    vector = supersuit.concat_vec_envs_v1(vectorised("small_mt"), 3, num_cpus=0)
    rng = np.random.default_rng(0)
    observations, _ = vector.reset(seed=0)
    first, second = observations[:SLOTS], observations[SLOTS : 2 * SLOTS]
    assert not np.array_equal(first, second)
    for _ in range(100):
        observations, rewards, *_ = vector.step(random_actions(observations, rng))
        assert observations.shape == (3 * SLOTS, SIZE)
        assert rewards.shape == (3 * SLOTS,)
    vector.close()
