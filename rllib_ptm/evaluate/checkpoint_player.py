"""Plays the policy of a checkpoint greedily, in this process and without a Ray cluster."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rllib_ptm.checkpoints.saved_policy import read_policy
from rllib_ptm.deploy.other_games import in_game
from rllib_ptm.environment.contract import NO_SLOTS, Composed
from rllib_ptm.environment.names import check_composed
from rllib_ptm.evaluate.datasets import write_datasets
from rllib_ptm.evaluate.player.watched import Watched, watch
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.evaluation_episodes import (
    EpisodeOutcome,
    TaskResult,
    composition_results,
    evaluation_episodes,
    outcome_of,
    task_results,
)
from rllib_ptm.replay.episodes import TeamEpisode, record_at


class CheckpointPlayer:
    """Plays a checkpoint's policy; equal seeds give equal episodes. It runs no code from the files.

    Args:
        checkpoint: A folder written by ``rllib train``, Tune or ``algo.save_to_path``, or the name
            of a pretrained policy; see ``load_policy``.
        tasks: The tasks to play; by default those of the training. Larger teams than those need
            free slots in the policy, ``action_head: entity``, or features and actions that do not
            depend on the size of a team.
        env: The environment's name in this process; by default as in training. A function that a
            checkpoint names, ``module:function``, is only called if it is named here too.
        env_config: Settings of the environment in place of the training's.
        at_least: Numbers of slots, where more than the tasks need are wanted; see
            ``TeamGame.slots``.

    Attributes:
        tasks: The names of the tasks that it plays.
        slots: The numbers of slots that it plays with.

    Raises:
        InputError: The folder is no checkpoint of PTM or a damaged one, or the tasks or settings
            do not fit it.
    """

    def __init__(
        self,
        checkpoint: str | pathlib.Path,
        *,
        tasks: str | Sequence[str] | None = None,
        env: str | None = None,
        env_config: Mapping[str, Any] | None = None,
        at_least: Mapping[str, int] = NO_SLOTS,
    ) -> None:
        changes = dict(env_config or {})
        if tasks is not None:
            changes["tasks"] = tasks if isinstance(tasks, str) else list(tasks)
        policy, config, game = in_game(read_policy(checkpoint), changes, env, at_least)
        self.tasks, self.slots = game.tasks, game.slots
        self._game = game
        self._runner = TeamEnvRunner(config=config, game=game, worker_index=0, num_workers=0)
        self._runner.module.set_state(policy.weights)

    def results(
        self,
        episodes_per_task: int,
        seed: int,
        by_composition: bool = False,
        keep: Callable[[list[TeamEpisode]], object] | None = None,
    ) -> list[TaskResult]:
        """Plays every task.

        Args:
            episodes_per_task: Number of episodes of each task.
            seed: Seed of the episodes; see ``evaluation_episodes``.
            by_composition: Whether each composition of a task has a result, too.
            keep: Called with all episodes.

        Raises:
            InputError: The environment has no compositions.
        """
        outcomes = self.outcomes(episodes_per_task, seed, by_composition, keep)
        summarise = composition_results if by_composition else task_results
        return summarise(self.tasks, outcomes)

    def outcomes(
        self,
        episodes_per_task: int,
        seed: int,
        by_composition: bool = False,
        keep: Callable[[list[TeamEpisode]], object] | None = None,
    ) -> list[EpisodeOutcome]:
        """Plays every task.

        Args:
            episodes_per_task: Number of episodes of each task.
            seed: Seed of the episodes; see ``evaluation_episodes``.
            by_composition: Whether each outcome names the episode's composition.
            keep: Called with all episodes.

        Returns:
            The outcome of each episode, in the order of ``evaluation_episodes``.

        Raises:
            InputError: The environment has no compositions.
        """
        if by_composition:
            check_composed(self._game)
        schedule = evaluation_episodes(self.tasks, episodes_per_task, seed)
        played = {(e.task, e.seed): e for e in self._runner.play_exactly(schedule)}
        episodes = [played[task, seed] for task, seed in schedule]
        if keep is not None:
            keep(episodes)
        return [
            outcome_of(episode, self._composition(episode) if by_composition else "")
            for episode in episodes
        ]

    def pictures(self, seed: int) -> dict[str, list[np.ndarray]]:
        """Plays the first episode of each task, for a film.

        Returns:
            Task name -> a picture [H, W, 3] of each of the T + 1 time steps.

        Raises:
            InputError: The environment has no pictures.
        """
        return self._runner.pictures(evaluation_episodes(self.tasks, 1, seed))

    def watched(self, episodes_per_task: int, seed: int, name: str) -> list[Watched]:
        """Plays the first episodes of each task, and computes what the policy saw in them.

        Args:
            episodes_per_task: Their number.
            seed: Seed of the episodes; see ``evaluation_episodes``.
            name: The policy's name, for the reader.

        Returns:
            The episodes, those of a task side by side.

        Raises:
            InputError: The environment does not describe its episodes.
        """
        schedule = evaluation_episodes(self.tasks, episodes_per_task, seed)
        played = {(e.task, e.seed): e for e in self._runner.play_exactly(schedule)}
        by_task = sorted(schedule, key=lambda one: self.tasks.index(one.task))
        game, module = self._game, self._runner.module
        return [watch(name, game, module, played[task, seed]) for task, seed in by_task]

    def record(self, folder: pathlib.Path, episodes: Sequence[TeamEpisode], policy: str) -> None:
        """Writes episodes as datasets; see ``write_datasets``.

        Args:
            folder: Where they are written.
            episodes: What ``keep`` was called with.
            policy: What played, for the description.
        """
        write_datasets(folder, self._game, episodes, policy)

    def close(self) -> None:
        """Stops the environments."""
        self._runner.stop()

    def _composition(self, episode: TeamEpisode) -> str:
        assert isinstance(self._game, Composed)
        return self._game.composition(record_at(episode.record, 0), episode.task)


def evaluate_checkpoint(
    checkpoint: str | pathlib.Path,
    *,
    tasks: str | Sequence[str] | None = None,
    env: str | None = None,
    episodes_per_task: int = 100,
    seed: int = 0,
) -> list[TaskResult]:
    """Plays every task with a checkpoint's policy; see ``CheckpointPlayer``.

    Args:
        checkpoint: A checkpoint's folder, or the name of a pretrained policy.
        tasks: The tasks to play; by default those of the training.
        env: The environment's name in this process; see ``CheckpointPlayer``.
        episodes_per_task: Number of episodes of each task.
        seed: Seed of the episodes; see ``evaluation_episodes``.

    Raises:
        InputError: The folder is no checkpoint of PTM, or the tasks do not fit the policy.
    """
    player = CheckpointPlayer(checkpoint, tasks=tasks, env=env)
    try:
        return player.results(episodes_per_task, seed)
    finally:
        player.close()
