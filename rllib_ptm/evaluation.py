"""Evaluates a checkpoint greedily, in this process and without a Ray cluster."""

from __future__ import annotations

import math
import pathlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ray.rllib.core import (
    COMPONENT_LEARNER,
    COMPONENT_LEARNER_GROUP,
    COMPONENT_RL_MODULE,
    DEFAULT_MODULE_ID,
)
from ray.rllib.core.rl_module.rl_module import RLModule

from envs.errors import InputError
from envs.tasks import parse_tasks
from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.env_runner import TeamEnvRunner
from rllib_ptm.episodes import TeamEpisode

MODULE_FOLDER = pathlib.Path(
    COMPONENT_LEARNER_GROUP, COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
)

# How RLlib calls the file that says how to build what a checkpoint holds.
CONSTRUCTOR_FILE = RLModule.CLASS_AND_CTOR_ARGS_FILE_NAME


@dataclass(frozen=True)
class TaskResult:
    """How a policy did on one task.

    Attributes:
        task: The task's name.
        episodes: How many were played.
        wins: How many were won.
        win_rate: wins / episodes.
        interval: Wilson's 95 % interval of the win rate.
        return_mean: Mean return, 20 at best.
        length_mean: Mean number of steps.
    """

    task: str
    episodes: int
    wins: int
    win_rate: float
    interval: tuple[float, float]
    return_mean: float
    length_mean: float


def wilson_interval(wins: int, episodes: int) -> tuple[float, float]:
    """The 95 % interval of a win rate (Wilson 1927), which stays within 0 and 1."""
    z = 1.959964
    rate, share = wins / episodes, z * z / episodes
    centre = (rate + share / 2) / (1 + share)
    half = z * math.sqrt(rate * (1 - rate) / episodes + share / episodes / 4) / (1 + share)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def evaluate_checkpoint(
    checkpoint: str | pathlib.Path,
    *,
    tasks: str | Sequence[str] | None = None,
    episodes_per_task: int = 100,
    seed: int = 0,
) -> list[TaskResult]:
    """Plays every task exactly so many times; an equal seed gives equal battles.

    Args:
        checkpoint: A folder written by ``rllib train``, Tune or ``algo.save_to_path``.
        tasks: What to play; by default the tasks of the training.
        episodes_per_task: Episodes of each task.
        seed: Decides the battles.

    Raises:
        InputError: The folder is no checkpoint of PTM, or the tasks do not fit the policy.
    """
    folder = pathlib.Path(checkpoint).absolute()
    config = _config_of(folder)
    if tasks is not None:
        slots = team_slots(config)
        config.env_config = {**config.env_config, **slots, "tasks": tasks}
    runner = TeamEnvRunner(config=config, worker_index=0, num_workers=0)
    trained = RLModule.from_checkpoint(folder / MODULE_FOLDER)
    runner.module.set_state(trained.get_state(inference_only=True))
    names = runner.task_names
    schedule = [(task, seed + i) for i in range(episodes_per_task) for task in parse_tasks(names)]
    episodes = runner.play_exactly(schedule)
    runner.stop()
    return [_summarise(name, [e for e in episodes if e.task == name]) for name in names]


def team_slots(config: PTMConfig) -> dict[str, int]:
    """The slots that a trained policy has, for tasks other than those of its training."""
    settings = config.env_settings
    return {"max_allies": settings.ally_slots, "max_enemies": settings.enemy_slots}


def _config_of(folder: pathlib.Path) -> PTMConfig:
    """The config with which a checkpoint was trained, for one process."""
    file = folder / CONSTRUCTOR_FILE
    if not file.is_file():
        raise InputError(f"{folder}: expected a checkpoint folder with a file {CONSTRUCTOR_FILE}")
    with file.open("rb") as stream:
        arguments: Any = pickle.load(stream)["ctor_args_and_kwargs"]
    state = arguments[0][0]
    if not isinstance(state, dict) or not issubclass(state.get("class", object), PTMConfig):
        raise InputError(f"{folder}: expected a checkpoint of PTM, found one of {state!r:.80}")
    config = PTMConfig.from_state(state).copy(copy_frozen=False)
    config.num_env_runners = 0
    return config


def _summarise(task: str, episodes: Sequence[TeamEpisode]) -> TaskResult:
    wins = sum(episode.won for episode in episodes)
    return TaskResult(
        task=task,
        episodes=len(episodes),
        wins=wins,
        win_rate=wins / len(episodes),
        interval=wilson_interval(wins, len(episodes)),
        return_mean=float(np.mean([episode.episode_return for episode in episodes])),
        length_mean=float(np.mean([len(episode) for episode in episodes])),
    )
