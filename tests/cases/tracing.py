"""Traces of training runs, for tests that two runs are identical."""

from __future__ import annotations

import numpy as np
from ray.rllib.core import DEFAULT_MODULE_ID

from rllib_ptm import PTM, PTMConfig
from rllib_ptm.replay.episodes import to_arrays

REPORTED = ("training_iteration", "num_env_steps_sampled_lifetime", "priorities", "schedules")
OF_RUNNERS = ("win_rate", "wins", "episodes", "num_episodes_lifetime", "episode_return_mean")
OF_LEARNER = ("loss_ori", "loss_exp", "loss_task", "total_loss", "grad_norm", "td_error_abs")


def changing(config: PTMConfig, num_env_runners: int = 0) -> PTMConfig:
    """Shortens buffer and schedules, so that all of them change within four iterations."""
    return config.training(
        buffer_capacity_episodes=20,
        target_update_interval_episodes=10,
        epsilon_anneal_steps=300,
        alpha_anneal_steps=400,
        win_rate_window_episodes=9,
        task_draw="priority",
    ).env_runners(num_env_runners=num_env_runners)


def trace(algorithm: PTM, iterations: int) -> list[dict[str, object]]:
    """Trains, and returns the results of each iteration without times."""
    reports = []
    for _ in range(iterations):
        result = algorithm.train()
        learner = result["learners"][DEFAULT_MODULE_ID]
        reports.append(
            {key: result[key] for key in REPORTED}
            | {key: result["env_runners"][key] for key in OF_RUNNERS}
            | {key: float(learner[key]) for key in OF_LEARNER}
        )
    return reports


def arrays_of(algorithm: PTM) -> dict[str, np.ndarray]:
    """Returns network weights, the optimiser's moments and the replay buffer's episodes."""
    learner = algorithm.learner_group.get_state()["learner"]
    arrays = dict(learner["rl_module"][DEFAULT_MODULE_ID])
    for name, optimizer in learner["optimizer"].items():
        for number, moments in optimizer["state"]["state"].items():
            arrays |= {f"{name}.{number}.{k}": np.asarray(v) for k, v in moments.items()}
    return arrays | to_arrays(algorithm.replay_buffer.get_state()["episodes"])


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        np.testing.assert_array_equal(other[key], value, err_msg=key)


def assert_runners_hold_what_was_learned(algorithm: PTM) -> None:
    learner = algorithm.learner_group.get_state(inference_only=True)["learner"]["rl_module"]
    weights = {k: v for k, v in learner[DEFAULT_MODULE_ID].items() if k.startswith("agent.")}
    for runner in algorithm.env_runner_group.foreach_env_runner(lambda r: r.module.get_state()):
        assert_same(weights, runner)
