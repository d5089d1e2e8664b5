"""Plays the games of an evaluation on RLlib's evaluation runners.

RLlib's own way hands out numbers of episodes: which tasks they are of is left to chance, and a
runner that dies can leave the others waiting for ever. Here the games themselves are handed out,
with the weights to play them by, and what a lost runner leaves is given to the others.
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
from rllib_ptm.play.evaluation_episodes import Game, Outcome, outcome, task_results
from rllib_ptm.tasks.metrics import EPISODES, WIN_RATE, WIN_RATE_MEAN, WINS

_SECONDS_BETWEEN_PROBES = 0.2


class EvaluationIncompleteError(RuntimeError):
    """Not every game was played in time, and the rest would flatter or slander a task."""


def play_games(
    group: EnvRunnerGroup, games: Sequence[Game], weights: ray.ObjectRef, timeout_s: float
) -> list[Outcome]:
    """Plays each game once, on all healthy runners of a group.

    Args:
        group: Remote runners; those that are lost and come back in time are used again.
        games: What to play.
        weights: A runner's state, put into Ray's object store.
        timeout_s: When to give up.

    Returns:
        An outcome for each game, in no order.

    Raises:
        EvaluationIncompleteError: The time is over.
    """
    deadline = time.monotonic() + timeout_s
    left = dict(enumerate(games))
    outcomes: list[Outcome] = []
    while left:
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise EvaluationIncompleteError(
                f"{len(left)} of {len(games)} evaluation games were not played within "
                f"{timeout_s:g} s; see evaluation_sample_timeout_s and evaluation_num_env_runners"
            )
        for numbers, played in _play_round(group, left, weights, seconds):
            outcomes += played
            for number in numbers:
                del left[number]
    return outcomes


def _play_round(
    group: EnvRunnerGroup, left: Mapping[int, Game], weights: ray.ObjectRef, timeout_s: float
) -> list[tuple[list[int], list[Outcome]]]:
    """Shares out what is left; returns the shares that came back: the games' numbers, outcomes."""
    runners = group.healthy_env_runner_ids()
    if not runners:
        time.sleep(_SECONDS_BETWEEN_PROBES)
        group.probe_unhealthy_env_runners(timeout_seconds=min(1.0, timeout_s))
        return []
    numbers = list(left)
    shares = [numbers[i :: len(runners)] for i in range(min(len(runners), len(numbers)))]

    def play(numbers: list[int], runner: TeamEnvRunner) -> tuple[list[int], list[Outcome]]:
        return numbers, play_share(runner, [left[n] for n in numbers], ray.get(weights))

    return group.foreach_env_runner(
        [partial(play, share) for share in shares],
        remote_worker_ids=runners[: len(shares)],
        local_env_runner=False,
        timeout_seconds=timeout_s,
    )


def play_share(runner: TeamEnvRunner, games: Sequence[Game], weights: Any) -> list[Outcome]:
    """On a runner: plays games with these weights, and no others.

    Args:
        runner: Who plays.
        games: What it plays.
        weights: A runner's state.
    """
    runner.set_state(weights)
    return [outcome(episode) for episode in runner.play_exactly(games)]


def evaluation_metrics(tasks: Sequence[str], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What an evaluation reports under ``evaluation/env_runners``; entries per task by name.

    Args:
        tasks: The tasks' names.
        outcomes: Of the games of these tasks.
    """
    rows = task_results(tasks, outcomes)
    steps = sum(game.length for game in outcomes)
    return {
        WIN_RATE: {row.task: row.win_rate for row in rows},
        WIN_RATE_MEAN: sum(row.win_rate for row in rows) / len(rows),
        WINS: {row.task: row.wins for row in rows},
        EPISODES: {row.task: row.episodes for row in rows},
        "return_mean": {row.task: row.return_mean for row in rows},
        "length_mean": {row.task: row.length_mean for row in rows},
        EPISODE_RETURN_MEAN: sum(game.episode_return for game in outcomes) / len(outcomes),
        EPISODE_LEN_MEAN: steps / len(outcomes),
        NUM_EPISODES: len(outcomes),
        NUM_ENV_STEPS_SAMPLED: steps,
    }
