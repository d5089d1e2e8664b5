"""Plays the episodes of an evaluation on RLlib's evaluation runners.

RLlib itself hands out numbers of episodes: their tasks are left to chance, and if a runner dies the
others can wait forever. Here the episodes themselves are handed out, with the weights to play them
with, and other runners take over the episodes of a lost one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import ray
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.metrics import (
    EPISODE_LEN_MEAN,
    EPISODE_RETURN_MEAN,
    NUM_ENV_STEPS_SAMPLED,
    NUM_EPISODES,
)

from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.evaluation_episodes import (
    EpisodeOutcome,
    EvaluationEpisode,
    outcome_of,
    task_results,
)
from rllib_ptm.tasks.metrics import EPISODES, WIN_RATE, WIN_RATE_MEAN, WINS

_SECONDS_BETWEEN_PROBES = 0.2


class EvaluationIncompleteError(RuntimeError):
    """An evaluation was not finished in time; a partial evaluation would bias the win rates."""


def play_on_group(
    group: EnvRunnerGroup,
    schedule: Sequence[EvaluationEpisode],
    weights: ray.ObjectRef,
    timeout_s: float,
) -> list[EpisodeOutcome]:
    """Plays each episode once, on all healthy runners of a group.

    Args:
        group: Remote runners; runners that are lost and restart in time are used again.
        schedule: The episodes.
        weights: State of a runner, in Ray's object store.
        timeout_s: The time limit.

    Returns:
        One outcome per episode, in any order.

    Raises:
        EvaluationIncompleteError: The time limit is over.
    """
    deadline = time.monotonic() + timeout_s
    remaining = dict(enumerate(schedule))
    outcomes: list[EpisodeOutcome] = []
    while remaining:
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise EvaluationIncompleteError(
                f"{len(remaining)} of {len(schedule)} evaluation games were not played within "
                f"{timeout_s:g} s; see evaluation_sample_timeout_s and evaluation_num_env_runners"
            )
        for numbers, played in _play_round(group, remaining, weights, seconds):
            outcomes += played
            for number in numbers:
                del remaining[number]
    return outcomes


def _play_round(
    group: EnvRunnerGroup,
    remaining: Mapping[int, EvaluationEpisode],
    weights: ray.ObjectRef,
    timeout_s: float,
) -> list[tuple[list[int], list[EpisodeOutcome]]]:
    """Distributes the remaining episodes over the healthy runners.

    Returns:
        For each runner that finished: the numbers of its episodes, and their outcomes.
    """
    runners = group.healthy_env_runner_ids()
    if not runners:
        time.sleep(_SECONDS_BETWEEN_PROBES)
        group.probe_unhealthy_env_runners(timeout_seconds=min(1.0, timeout_s))
        return []
    numbers = list(remaining)
    shares = [numbers[i :: len(runners)] for i in range(min(len(runners), len(numbers)))]

    def play(numbers: list[int], runner: TeamEnvRunner) -> tuple[list[int], list[EpisodeOutcome]]:
        return numbers, play_on_runner(runner, [remaining[n] for n in numbers], ray.get(weights))

    return group.foreach_env_runner(
        [partial(play, share) for share in shares],
        remote_worker_ids=runners[: len(shares)],
        local_env_runner=False,
        timeout_seconds=timeout_s,
    )


def play_on_runner(
    runner: TeamEnvRunner, schedule: Sequence[EvaluationEpisode], weights: Any
) -> list[EpisodeOutcome]:
    """Plays episodes on one runner; runs in that runner's process.

    Args:
        runner: The runner.
        schedule: The episodes.
        weights: State of a runner, with the weights to play with.
    """
    runner.set_state(weights)
    return [outcome_of(episode) for episode in runner.play_exactly(schedule)]


def evaluation_metrics(tasks: Sequence[str], outcomes: Sequence[EpisodeOutcome]) -> dict[str, Any]:
    """The metrics under ``evaluation/env_runners``; those per task are dicts by task name.

    Args:
        tasks: Names of the tasks.
        outcomes: Outcomes of at least one episode of each task.
    """
    rows = task_results(tasks, outcomes)
    steps = sum(outcome.length for outcome in outcomes)
    return {
        WIN_RATE: {row.task: row.win_rate for row in rows},
        WIN_RATE_MEAN: sum(row.win_rate for row in rows) / len(rows),
        WINS: {row.task: row.wins for row in rows},
        EPISODES: {row.task: row.episodes for row in rows},
        "return_mean": {row.task: row.return_mean for row in rows},
        "length_mean": {row.task: row.length_mean for row in rows},
        EPISODE_RETURN_MEAN: sum(outcome.episode_return for outcome in outcomes) / len(outcomes),
        EPISODE_LEN_MEAN: steps / len(outcomes),
        NUM_EPISODES: len(outcomes),
        NUM_ENV_STEPS_SAMPLED: steps,
    }
