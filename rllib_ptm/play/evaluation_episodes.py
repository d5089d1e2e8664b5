"""The episodes of an evaluation, and their statistics.

An evaluation plays a fixed number of episodes of every task, on seeds that follow from the
evaluation's own seed alone. So short episodes count as much as long ones, and every method is
evaluated on the same episodes.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from rllib_ptm.replay.episodes import TeamEpisode


class EvaluationEpisode(NamedTuple):
    """An episode to play: its task, and the seed that decides everything else."""

    task: str
    seed: int


class EpisodeOutcome(NamedTuple):
    """The result of one episode.

    Attributes:
        task: The task's name.
        seed: The episode's seed.
        success: From 0 to 1.
        episode_return: Sum of the rewards.
        length: Number of steps.
        truncated: Whether the time limit ended it.
        composition: What the task has drawn for it; empty if that was not asked for.
    """

    task: str
    seed: int
    success: float
    episode_return: float
    length: int
    truncated: bool
    composition: str = ""


@dataclass(frozen=True)
class TaskResult:
    """The results of a policy on one task, or on one composition of it.

    Attributes:
        task: The task's name.
        episodes: Number of episodes played.
        wins: Sum of their successes: the number of episodes won, where a success is 0 or 1.
        win_rate: wins / episodes.
        interval: The 95 % interval of the win rate; see ``wilson_interval``.
        return_mean: Mean return.
        length_mean: Mean number of steps.
        truncated_share: The share of the episodes that the time limit ended.
        composition: The composition; empty = all episodes of the task.
    """

    task: str
    episodes: int
    wins: float
    win_rate: float
    interval: tuple[float, float]
    return_mean: float
    length_mean: float
    truncated_share: float = 0.0
    composition: str = ""


def evaluation_episodes(
    tasks: Sequence[str], episodes_per_task: int, seed: int
) -> list[EvaluationEpisode]:
    """The episodes of an evaluation, in rounds of one episode per task.

    Args:
        tasks: Their names.
        episodes_per_task: Number of episodes of each task.
        seed: The evaluation's seed. Evaluations with different seeds have no episode in common.
    """
    return [
        EvaluationEpisode(task, episode_seed(seed, task, number))
        for number in range(episodes_per_task)
        for task in tasks
    ]


def episode_seed(seed: int, task: str, number: int) -> int:
    """The seed of one episode of an evaluation: 63 bits of a hash.

    It depends on the arguments alone. Other tasks and the number of episodes do not change it. It
    is equal in every process and on every platform.

    Args:
        seed: The evaluation's seed.
        task: The task's name.
        number: Counts the episodes of the task from 0.
    """
    digest = hashlib.sha256(f"{seed} {task} {number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # as NumPy's signed integers hold it


def outcome_of(episode: TeamEpisode, composition: str = "") -> EpisodeOutcome:
    """The outcome of an episode that was played.

    Args:
        episode: The episode.
        composition: What its task has drawn for it.
    """
    return EpisodeOutcome(
        episode.task,
        episode.seed,
        episode.success,
        episode.episode_return,
        len(episode),
        episode.truncated,
        composition,
    )


def wilson_interval(wins: float, episodes: int) -> tuple[float, float]:
    """The 95 % confidence interval of a win rate (Wilson 1927), which stays within 0 and 1.

    It is exact in form where each success is 0 or 1. Successes between them vary less than such
    with the same mean, so for them it is too wide rather than too narrow.

    Args:
        wins: The sum of the successes.
        episodes: Their number.
    """
    z = NormalDist().inv_cdf(0.975)
    rate, weight = wins / episodes, z * z / episodes
    centre = (rate + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(rate * (1 - rate) / episodes + weight / (4 * episodes))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def task_results(tasks: Sequence[str], outcomes: Sequence[EpisodeOutcome]) -> list[TaskResult]:
    """One result per task.

    Args:
        tasks: Names of the tasks, in the order of the results.
        outcomes: Outcomes of at least one episode of each task.
    """
    return [_summarise(task, [o for o in outcomes if o.task == task]) for task in tasks]


def composition_results(
    tasks: Sequence[str], outcomes: Sequence[EpisodeOutcome]
) -> list[TaskResult]:
    """For each task its result, and after it one for each of its compositions, small ones first.

    Args:
        tasks: Names of the tasks, in the order of the results.
        outcomes: Outcomes of at least one episode of each task, with their compositions.
    """
    results = []
    for task in tasks:
        own = [outcome for outcome in outcomes if outcome.task == task]
        results.append(_summarise(task, own))
        for name in sorted({outcome.composition for outcome in own}, key=_by_size):
            drawn = [outcome for outcome in own if outcome.composition == name]
            results.append(_summarise(task, drawn, name))
    return results


def _by_size(composition: str) -> tuple[Any, ...]:
    """Sorts by the sum of the numbers in a name, then by its words and numbers in turn."""
    words = re.split(r"([0-9]+)", composition)  # every second one is a number
    numbers = [int(number) for number in words[1::2]]
    return sum(numbers), words[::2], numbers


def _summarise(task: str, outcomes: Sequence[EpisodeOutcome], composition: str = "") -> TaskResult:
    total = math.fsum(outcome.success for outcome in outcomes)
    wins = int(total) if total.is_integer() else total
    return TaskResult(
        task=task,
        episodes=len(outcomes),
        wins=wins,
        win_rate=wins / len(outcomes),
        interval=wilson_interval(wins, len(outcomes)),
        return_mean=float(np.mean([outcome.episode_return for outcome in outcomes])),
        length_mean=float(np.mean([outcome.length for outcome in outcomes])),
        truncated_share=float(np.mean([outcome.truncated for outcome in outcomes])),
        composition=composition,
    )
