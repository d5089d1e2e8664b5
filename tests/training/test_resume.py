"""A resumed run does what the run would have done that was not interrupted, bit for bit."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from ray.rllib.core import DEFAULT_MODULE_ID

from rllib_ptm import PTM, PTMConfig
from rllib_ptm.env_runner import TeamEnvRunner
from rllib_ptm.episodes import to_arrays
from rllib_ptm.replay_buffer import ReplayBuffer

MakeConfig = Callable[..., PTMConfig]
MakeRunner = Callable[..., TeamEnvRunner]

NUMBERS = (
    "training_iteration",
    "num_env_steps_sampled_lifetime",
    "priorities",
    "schedules",
)
OF_RUNNERS = ("win_rate", "wins", "episodes", "num_episodes_lifetime", "episode_return_mean")
OF_LEARNER = ("loss_ori", "loss_exp", "loss_task", "total_loss", "grad_norm", "td_error_abs")


def trace(algorithm: PTM, iterations: int) -> list[dict[str, object]]:
    """What each iteration reports, less what is about time."""
    reports = []
    for _ in range(iterations):
        result = algorithm.train()
        learner = result["learners"][DEFAULT_MODULE_ID]
        reports.append(
            {key: result[key] for key in NUMBERS}
            | {key: result["env_runners"][key] for key in OF_RUNNERS}
            | {key: float(learner[key]) for key in OF_LEARNER}
        )
    return reports


def arrays_of(algorithm: PTM) -> dict[str, np.ndarray]:
    """Weights of all networks, the optimiser's moments, the episodes that the buffer holds."""
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


def small_buffer(make_config: MakeConfig, num_env_runners: int = 0) -> PTMConfig:
    """The buffer is full and wraps, targets are copied, schedules move: all within 4 iterations."""
    return make_config(
        buffer_capacity_episodes=20,
        target_update_interval_episodes=10,
        epsilon_anneal_steps=300,
        alpha_anneal_steps=400,
        win_rate_window_episodes=9,
        task_draw="priority",
    ).env_runners(num_env_runners=num_env_runners)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("before", "after"),
    [(0, 0), (0, 1), *(pytest.param(n, n, marks=pytest.mark.slow) for n in (1, 2))],
)
def test_a_resumed_run_is_the_run_that_went_on(
    make_config: MakeConfig, tmp_path: pathlib.Path, before: int, after: int
) -> None:
    """Also where one remote env runner takes the place of the local one."""
    algorithm = small_buffer(make_config, before).build_algo()
    trace(algorithm, 2)
    algorithm.save_to_path(tmp_path)
    expected, expected_arrays = trace(algorithm, 2), arrays_of(algorithm)
    algorithm.stop()
    resumed = small_buffer(make_config, after).build_algo()
    resumed.restore_from_path(tmp_path)
    assert trace(resumed, 2) == expected
    assert_same(arrays_of(resumed), expected_arrays)
    resumed.stop()


def test_a_runner_plays_on_from_its_play_state(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.sample(num_episodes=5, epsilon=0.5)
    state, weights = runner.get_play_state(), runner.get_state()
    expected = runner.sample(num_episodes=20, epsilon=0.5)
    other = make_runner()
    other.set_state(weights)
    assert other.set_play_state(state) is None
    assert_same(to_arrays(expected), to_arrays(other.sample(num_episodes=20, epsilon=0.5)))


def test_battles_that_do_not_fit_begin_anew_and_say_so(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    runner = make_runner()
    runner.sample(num_episodes=1, epsilon=1.0)
    fewer = make_runner(make_config().env_runners(num_envs_per_env_runner=4))
    refusal = fewer.set_play_state(runner.get_play_state())
    assert refusal is not None
    assert '"battles": 8' in refusal
    assert '"battles": 4' in refusal
    assert len(fewer.sample(num_episodes=3, epsilon=1.0)) >= 3


def test_a_backend_that_cannot_save_its_battles_begins_anew_and_says_so(
    make_runner: MakeRunner,
) -> None:
    runner = make_runner()
    runner.sample(num_episodes=1, epsilon=1.0)
    state = {k: v for k, v in runner.get_play_state().items() if k in ("rng", "kind")}
    refusal = make_runner().set_play_state(state)
    assert refusal == "the backend 'smax' cannot save battles in progress"


def test_a_reseeded_runner_plays_other_battles(make_runner: MakeRunner) -> None:
    one, other = make_runner(), make_runner()
    other.reseed(100)
    returns = [
        [e.episode_return for e in runner.sample(num_episodes=6, epsilon=1.0)]
        for runner in (one, other)
    ]
    assert returns[0] != returns[1]


def test_a_restored_buffer_draws_the_same_episodes(
    make_runner: MakeRunner, tmp_path: pathlib.Path
) -> None:
    episodes = make_runner().sample(num_episodes=12, epsilon=1.0)
    buffer, restored = ReplayBuffer(7), ReplayBuffer(7)
    buffer.add(episodes)  # it is full and has wrapped
    buffer.save_to_path(tmp_path)
    restored.restore_from_path(tmp_path)
    for more in ([], episodes[:3]):
        buffer.add(more)
        restored.add(more)
        drawn = [b.sample(5, np.random.default_rng(1)) for b in (buffer, restored)]
        assert_same(to_arrays(drawn[0]), to_arrays(drawn[1]))
