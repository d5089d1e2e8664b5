"""Plays the policy of a checkpoint greedily, in this process and without a Ray cluster."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rllib_ptm.checkpoints.saved_policy import read_policy
from rllib_ptm.deploy.slot_expansion import Slots, expand_slots
from rllib_ptm.envs.starcraft.backends import BACKENDS, EnvSettings
from rllib_ptm.envs.starcraft.tasks import parse_tasks
from rllib_ptm.envs.starcraft.units import Units
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.evaluation_episodes import (
    EpisodeOutcome,
    TaskResult,
    evaluation_episodes,
    outcome_of,
    task_results,
)
from rllib_ptm.replay.episodes import time_steps


class CheckpointPlayer:
    """Plays a checkpoint's policy; equal seeds give equal episodes. It runs no code from the files.

    Args:
        checkpoint: A folder written by ``rllib train``, Tune or ``algo.save_to_path``.
        tasks: The tasks to play; by default those of the training. Larger teams than those need
            free slots in the policy, or ``action_head: entity``.
        backend: The simulator; by default that of the training.
        save_replay_dir: A folder for the game's own replay files, if the backend writes them.
        rules: Settings of the battles in place of the training's.
        slots: The least number of slots, where more than the tasks need are wanted.

    Attributes:
        slots: The slots that it plays with.

    Raises:
        InputError: The folder is no checkpoint of PTM or a damaged one, or the tasks or the
            backend do not fit it.
    """

    def __init__(
        self,
        checkpoint: str | pathlib.Path,
        *,
        tasks: str | Sequence[str] | None = None,
        backend: str | None = None,
        save_replay_dir: str | None = None,
        rules: Mapping[str, Any] | None = None,
        slots: Slots | None = None,
    ) -> None:
        policy = read_policy(checkpoint)
        config = policy.algorithm_config()
        settings = config.env_settings
        trained = Slots(settings.ally_slots, settings.enemy_slots)
        changes = {"tasks": tasks, "backend": backend, "save_replay_dir": save_replay_dir}
        battles = {**config.env_config, **(rules or {})}
        backend = backend or battles.get("backend", settings.backend)
        config.env_config = _settings_for(battles, backend)
        config.env_config.update({k: v for k, v in changes.items() if v is not None})
        self._tasks = parse_tasks(config.env_config.get("tasks", settings.tasks))
        needed = EnvSettings(tasks=tuple(task.name for task in self._tasks), backend=backend)
        least = slots or trained
        self.slots = Slots(
            max(trained.allies, needed.ally_slots, least.allies),
            max(trained.enemies, needed.enemy_slots, least.enemies),
        )
        config.env_config.update(max_allies=self.slots.allies, max_enemies=self.slots.enemies)
        weights = expand_slots(policy.weights, trained, self.slots, config.action_head)
        self._runner = TeamEnvRunner(config=config, worker_index=0, num_workers=0)
        self._runner.module.set_state(weights)

    def results(self, episodes_per_task: int, seed: int) -> list[TaskResult]:
        """Plays every task.

        Args:
            episodes_per_task: Number of episodes of each task.
            seed: Seed of the battles; see ``evaluation_episodes``.
        """
        outcomes = self.outcomes(episodes_per_task, seed)
        return task_results([task.name for task in self._tasks], outcomes)

    def outcomes(self, episodes_per_task: int, seed: int) -> list[EpisodeOutcome]:
        """Plays every task.

        Args:
            episodes_per_task: Number of episodes of each task.
            seed: Seed of the battles; see ``evaluation_episodes``.

        Returns:
            The outcome of each episode, in the order of ``evaluation_episodes``.
        """
        schedule = evaluation_episodes(self._tasks, episodes_per_task, seed)
        played = [outcome_of(episode) for episode in self._runner.play_exactly(schedule)]
        by_battle = {(outcome.task, outcome.seed): outcome for outcome in played}
        return [by_battle[task.name, seed] for task, seed in schedule]

    def first_episodes(self, seed: int) -> dict[str, list[Units]]:
        """Plays the first episode of each task, for a video.

        Returns:
            Task name -> the units at each of the T + 1 time steps.
        """
        episodes = self._runner.play_exactly(evaluation_episodes(self._tasks, 1, seed))
        by_task = {episode.task: time_steps(episode) for episode in episodes}
        return {task.name: by_task[task.name] for task in self._tasks}

    def close(self) -> None:
        """Stops the battles."""
        self._runner.stop()


def evaluate_checkpoint(
    checkpoint: str | pathlib.Path,
    *,
    tasks: str | Sequence[str] | None = None,
    episodes_per_task: int = 100,
    seed: int = 0,
) -> list[TaskResult]:
    """Plays every task with a checkpoint's policy; see ``CheckpointPlayer``.

    Args:
        checkpoint: A checkpoint's folder.
        tasks: The tasks to play; by default those of the training.
        episodes_per_task: Number of episodes of each task.
        seed: Seed of the battles; see ``evaluation_episodes``.

    Raises:
        InputError: The folder is no checkpoint of PTM, or the tasks do not fit the policy.
    """
    player = CheckpointPlayer(checkpoint, tasks=tasks)
    try:
        return player.results(episodes_per_task, seed)
    finally:
        player.close()


def _settings_for(env_config: Mapping[str, Any], backend: str) -> dict[str, Any]:
    """The settings of the training that mean something to this backend."""
    keys = {*EnvSettings.model_fields, *BACKENDS[backend].settings.key_names()}
    return {key: value for key, value in env_config.items() if key in keys}
