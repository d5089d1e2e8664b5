"""Sampling speed: env steps per second of training episodes, with the policy.

All three run 5m_vs_5m with N parallel battles in one process:

- ours: ``TeamEnvRunner.sample`` with features, policy (the paper's networks, ε = 0.05), battles and
  complete episodes.
- SMAX alone: SMAX's own compiled step with random actions, as in ``battles.py``.
- stock runner: RLlib's ``SingleAgentEnvRunner`` with N environments of one battle each, the same
  module and the features of ``rllib_ptm.envs.starcraft.team_view``.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

import gymnasium as gym
import numpy as np
from battles import STEPS, smax_round
from measure import Work, interleaved_seconds, print_table
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.tune.registry import register_env

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.environment.starcraft import StarCraftGame
from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.outcome import decided, reward
from rllib_ptm.envs.starcraft.team_view import team_view
from rllib_ptm.learn.rl_module import PTMModule, team_spaces
from rllib_ptm.play.env_runner import TeamEnvRunner

BATTLES, ROUNDS, TASK, SIZE = (8, 64), 7, "5m_vs_5m", 5
STOCK_STEPS = 5


class ModuleWithTimeAxis(PTMModule):
    """Our module for the stock runner, whose inputs have a time axis of length 1."""

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        obs = {name: value[:, 0] for name, value in batch[Columns.OBS].items()}
        out = super()._forward({**batch, Columns.OBS: obs})
        return {k: v if k == Columns.STATE_OUT else v[:, None] for k, v in out.items()}


class SingleBattleEnv(gym.Env):
    """One battle as a single-agent environment."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._settings = EnvSettings(tasks=TASK)
        self._battles = self._settings.make_battles(1)
        self._seeds = np.random.default_rng()
        spec = StarCraftGame.read({"tasks": TASK}).spec
        self.observation_space, self.action_space = team_spaces(spec)

    def _observation(self) -> dict[str, np.ndarray]:
        view = team_view(self._units)
        masks = {name: getattr(view, name)[0].astype(np.int8) for name in view._fields[1:]}
        return {"entities": view.entities[0], **masks}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        """Starts a battle."""
        task = self._settings.parsed_tasks[0]
        battle_seed = int(self._seeds.integers(2**32)) if seed is None else seed
        self._units = self._battles.reset(np.array([0]), [task], [battle_seed])
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        """Takes a step."""
        before, self._units = self._units, self._battles.step(np.asarray(action)[None])
        task = self._settings.parsed_tasks[0]
        over = bool(self._units.step[0] >= self._settings.time_limit(task))
        earned = float(reward(before, self._units)[0])
        return self._observation(), earned, bool(decided(self._units)[0]), over, {}


def make_config(num_battles: int) -> PTMConfig:
    """Returns a config with the paper's networks and one task."""
    return (
        PTMConfig()
        .environment(env_config={"tasks": TASK})
        .env_runners(num_envs_per_env_runner=num_battles)
        .debugging(log_level="ERROR", seed=0)
    )


def stock_runner(num_battles: int) -> SingleAgentEnvRunner:
    """Returns RLlib's stock runner with our module.

    The config is PPO's, because PTM's takes environments of teams only.
    """
    register_env("team", SingleBattleEnv)
    networks = make_config(num_battles).model_config
    config = (
        PPOConfig()
        .environment("team")
        .env_runners(num_envs_per_env_runner=num_battles)
        .debugging(log_level="ERROR", seed=0)
        .rl_module(rl_module_spec=RLModuleSpec(ModuleWithTimeAxis, model_config=networks))
    )
    return SingleAgentEnvRunner(config=config)


def main() -> None:
    """Prints the table."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    logging.disable(logging.WARNING)
    rows = []
    for num_battles in BATTLES:
        ours = TeamEnvRunner(config=make_config(num_battles), worker_index=0, num_workers=0)
        smax, stock = smax_round(num_battles, SIZE), stock_runner(num_battles)
        played: list[int] = []

        def sample(runner: TeamEnvRunner = ours, num_battles: int = num_battles) -> None:
            episodes = runner.sample(num_timesteps=num_battles * STEPS, epsilon=0.05)
            played.append(sum(len(episode) for episode in episodes))  # noqa: B023

        stock_steps = num_battles * STOCK_STEPS
        work: dict[str, Work] = {
            "ours": sample,
            "smax": smax,
            "stock": functools.partial(stock.sample, num_timesteps=stock_steps),
        }
        seconds = interleaved_seconds(work, ROUNDS)
        speed = {
            "ours": float(np.mean(played[1:])) / seconds["ours"],
            "smax": num_battles * STEPS / seconds["smax"],
            "stock": stock_steps / seconds["stock"],
        }
        ratios = speed["ours"] / speed["smax"], speed["ours"] / speed["stock"]
        rows.append((num_battles, *speed.values(), *ratios))
        stock.stop()
        ours.stop()
    columns = ("battles", "ours", "SMAX alone", "stock runner", "ours / SMAX", "ours / stock")
    print_table(f"Env steps per second on {TASK}", columns, rows)


if __name__ == "__main__":
    main()
