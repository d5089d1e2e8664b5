"""The games of an evaluation, and what their outcomes say.

Every task is played exactly so many times, on seeds that depend on nothing but the evaluation's
own: a short episode counts no more than a long one, and every method meets the same battles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from envs.starcraft.tasks import Task
from rllib_ptm.replay.episodes import TeamEpisode


class Game(NamedTuple):
    """One battle to be played: the task, and the seed that decides everything else."""

    task: Task
    seed: int


class Outcome(NamedTuple):
    """How one game went."""

    task: str
    won: bool
    episode_return: float
    length: int


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


def evaluation_games(tasks: Sequence[Task], episodes_per_task: int, seed: int) -> list[Game]:
    """The games of an evaluation, the tasks by turns.

    Args:
        tasks: What is played.
        episodes_per_task: How often each of them.
        seed: Of the first battle; the next ones count up.
    """
    return [Game(task, seed + i) for i in range(episodes_per_task) for task in tasks]


def outcome(episode: TeamEpisode) -> Outcome:
    """What counts of an episode."""
    return Outcome(episode.task, episode.won, episode.episode_return, len(episode))


def wilson_interval(wins: int, episodes: int) -> tuple[float, float]:
    """The 95 % interval of a win rate (Wilson 1927), which stays within 0 and 1."""
    z = 1.959964
    rate, share = wins / episodes, z * z / episodes
    centre = (rate + share / 2) / (1 + share)
    half = z * math.sqrt(rate * (1 - rate) / episodes + share / episodes / 4) / (1 + share)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def task_results(tasks: Sequence[str], outcomes: Sequence[Outcome]) -> list[TaskResult]:
    """A row for each of these tasks, each played at least once."""
    return [_summarise(task, [game for game in outcomes if game.task == task]) for task in tasks]


def _summarise(task: str, games: Sequence[Outcome]) -> TaskResult:
    wins = sum(game.won for game in games)
    return TaskResult(
        task=task,
        episodes=len(games),
        wins=wins,
        win_rate=wins / len(games),
        interval=wilson_interval(wins, len(games)),
        return_mean=float(np.mean([game.episode_return for game in games])),
        length_mean=float(np.mean([game.length for game in games])),
    )
