"""Training on StarCraft II with RLlib: restarts are counted, and the policy improves."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from sc2_standin.faults import provoke
from small_networks import SMALL

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.cli.main import main
from rllib_ptm.play.env_runner import TeamEnvRunner
from sc2_backend.arena import left_behind, processes_of


def config(games: int, tasks: Any, **env_config: Any) -> PTMConfig:
    values = {"backend": "sc2", "tasks": tasks, "time_limit_steps": 30, **env_config}
    return (
        PTMConfig()
        .environment(env_config=values)
        .training(**SMALL)
        .env_runners(num_envs_per_env_runner=games)
        .reporting(min_sample_timesteps_per_iteration=20)
        .debugging(seed=3, log_level="ERROR")
    )


def test_training_counts_the_games_that_were_restarted(cluster: None, installation: Path) -> None:
    """Also ends those of an evaluation without runners of its own: the fixture checks it."""
    playing = config(2, ["2m_vs_2m", "1m"], request_time_limit_s=5.0)
    algorithm = playing.evaluation(evaluation_duration=1).build_algo()
    first = algorithm.train()["env_runners"]
    assert first["num_game_restarts"] == 0
    provoke(installation, "crash")
    second = algorithm.train()["env_runners"]
    assert second["num_game_restarts"] == 1
    third = algorithm.train()["env_runners"]
    assert third["num_game_restarts"] == 1  # the count of the whole run, not of this iteration
    assert third["num_env_steps_sampled_lifetime"] > second["num_env_steps_sampled_lifetime"]
    algorithm.evaluate()
    assert len(processes_of(installation)) == 8  # a game and its watchdog each
    algorithm.stop()


@pytest.mark.slow  # test_faults.py ends other processes that play
@pytest.mark.parametrize("end", ["SIGKILL", "ray.kill"])
def test_nothing_is_left_of_an_env_runner_that_died(
    cluster: None, installation: Path, temp: Path, end: str
) -> None:
    runtime_env = {"env_vars": {"SC2PATH": str(installation), "TMPDIR": str(temp)}}
    actor = ray.remote(TeamEnvRunner).options(runtime_env=runtime_env)
    runner = actor.remote(config=config(2, "1m"), worker_index=1, num_workers=1)
    pid = ray.get(runner.__ray_call__.remote(lambda self: os.getpid()))
    assert ray.get(runner.sample.remote(num_episodes=2, epsilon=1.0))
    assert len(processes_of(installation)) == 4
    if end == "ray.kill":
        ray.kill(runner)
    else:
        os.kill(pid, signal.Signals[end])
    assert left_behind(installation, temp) == []


def test_a_policy_of_smax_plays_on_starcraft_as_it_is(cluster: None, installation: Path) -> None:
    smax, sc2 = (config(2, "2m_vs_3m", backend=backend) for backend in ("smax", "sc2"))
    trained = TeamEnvRunner(config=smax, worker_index=0, num_workers=0)
    runner = TeamEnvRunner(config=sc2, worker_index=0, num_workers=0)
    assert runner.get_spaces() == trained.get_spaces()
    runner.set_state(trained.get_state())
    schedule = [("2m_vs_3m", seed) for seed in range(3)]
    assert len(runner.play_exactly(schedule)) == 3
    runner.stop()


def test_a_checkpoint_of_smax_is_evaluated_on_starcraft_with_replays(
    cluster: None, installation: Path, tmp_path: Path
) -> None:
    algorithm = config(2, "2m_vs_3m", backend="smax").build_algo()
    algorithm.save_to_path(tmp_path / "checkpoint")
    algorithm.stop()
    options = ["--backend", "sc2", "--episodes", "2", "--save-replay", str(tmp_path / "replays")]
    assert main(["evaluate", str(tmp_path / "checkpoint"), *options]) == 0
    assert list((tmp_path / "replays").glob("*.SC2Replay"))


@pytest.mark.slow
def test_the_win_rate_rises(cluster: None, installation: Path) -> None:
    """Trains for a minute on four games."""
    learning = config(4, "4m_vs_2m").training(
        lr=1e-3,
        optimizer_name="adam",
        action_head="entity",
        attention_dim=32,
        recurrent_dim=32,
        hypernet_dim=16,
        batch_size_episodes=16,
        learning_starts_episodes=16,
        epsilon_anneal_steps=1500,
        alpha_anneal_steps=2000,
        mining_lambda=1.0,
        target_update_interval_episodes=50,
        win_rate_window_episodes=64,
    )
    algorithm = learning.reporting(min_sample_timesteps_per_iteration=300).build_algo()
    rates = []
    end = time.monotonic() + 60
    while time.monotonic() < end:
        runners = algorithm.train()["env_runners"]
        rates.append(runners["win_rate_mean"])
        print(f"{runners['num_env_steps_sampled_lifetime']} steps: {rates[-1]:.2f}")
    algorithm.stop()
    assert rates[0] < 0.1
    assert sum(rates[-4:]) / 4 > 0.3
