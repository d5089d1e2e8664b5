"""Plays the episodes of an evaluation on RLlib's evaluation runners.

RLlib itself hands out numbers of episodes: their tasks are left to chance, and if a runner dies the
others can wait forever. Here the episodes themselves are handed out, with the weights to play them
with, and other runners take over the episodes of one that is lost or hangs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.rllib.utils.metrics import (
    EPISODE_LEN_MEAN,
    EPISODE_RETURN_MEAN,
    NUM_ENV_STEPS_SAMPLED,
    NUM_EPISODES,
)

from rllib_ptm.play.callbacks import report_errors
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.evaluation_episodes import (
    EpisodeOutcome,
    EvaluationEpisode,
    outcome_of,
    task_results,
)
from rllib_ptm.play.runner_calls import RunnerCalls
from rllib_ptm.tasks.metrics import (
    EPISODES,
    TASK_LENGTH_MEAN,
    TASK_RETURN_MEAN,
    TRUNCATED_SHARE,
    WIN_RATE,
    WIN_RATE_MEAN,
    WINS,
)

_SECONDS_BETWEEN_CHECKS = 0.2
# Why the evaluation no longer waits for a runner.
_OVERTAKEN = (
    "another runner has played the same games by now, so the evaluation ends without its answer; "
    "it is used again once it has answered"
)
_TIME_IS_OVER = "the time of the evaluation is over; it is used again once it has answered"


class EvaluationIncompleteError(RuntimeError):
    """An evaluation was not finished in time; a partial evaluation would bias the win rates."""


def play_on_group(
    calls: RunnerCalls,
    schedule: Sequence[EvaluationEpisode],
    weights: ray.ObjectRef,
    timeout_s: float,
) -> list[EpisodeOutcome]:
    """Plays each episode once, on all runners of a group that are in service.

    The others take over the episodes of a runner that is lost. They also play those of a runner
    that misses its time limit, if one of them has nothing else to do.

    Args:
        calls: The calls of a group; runners that are lost and restart in time are used again.
        schedule: The episodes.
        weights: State of a runner, in Ray's object store.
        timeout_s: The time limit.

    Returns:
        One outcome per episode, in the order of the schedule.

    Raises:
        EvaluationIncompleteError: The time limit is over.
    """
    deadline = time.monotonic() + timeout_s
    evaluation = _Evaluation(calls, schedule, weights)
    try:
        while evaluation.remaining:
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                raise EvaluationIncompleteError(
                    f"{len(evaluation.remaining)} of {len(schedule)} evaluation episodes were not "
                    f"played within {timeout_s:g} s; see evaluation_sample_timeout_s and "
                    f"evaluation_num_env_runners"
                )
            evaluation.distribute()
            calls.wait_for_any(min(seconds, _SECONDS_BETWEEN_CHECKS))
            evaluation.collect()
    finally:
        why = _TIME_IS_OVER if evaluation.remaining else _OVERTAKEN
        calls.take_out_of_service(calls.runners(), why)
    return [evaluation.outcomes[number] for number in range(len(schedule))]


class _Evaluation:
    """One evaluation on a group of runners.

    Attributes:
        remaining: The episodes without an outcome, by their numbers in the schedule.
        outcomes: The outcomes of the others, by the same numbers.
    """

    def __init__(
        self, calls: RunnerCalls, schedule: Sequence[EvaluationEpisode], weights: ray.ObjectRef
    ) -> None:
        self.remaining = dict(enumerate(schedule))
        self.outcomes: dict[int, EpisodeOutcome] = {}
        self._calls = calls
        self._weights = weights

    def distribute(self) -> None:
        """Distributes the episodes that no runner plays over the runners that play none."""
        calls = self._calls
        calls.replace_hung()
        calls.return_to_service(calls.back(), "ping", timeout_seconds=_SECONDS_BETWEEN_CHECKS)
        idle = calls.idle()
        if idle:
            calls.take_out_of_service(calls.late())
        played = {number for share in calls.requests() for number in share.numbers}
        free = [number for number in self.remaining if number not in played]
        for place, runner in enumerate(idle[: len(free)]):
            share = _Share(self, free[place :: len(idle)])
            calls.send(runner, self._player(share.numbers), share)

    def collect(self) -> None:
        """Takes the answers that have come in: each episode's first outcome counts."""
        for answer in self._calls.collect():
            share = answer.request
            if share.evaluation is not self:  # a late answer to an earlier evaluation
                continue
            for number, outcome in zip(share.numbers, answer.result, strict=True):
                if self.remaining.pop(number, None) is not None:
                    self.outcomes[number] = outcome

    def _player(self, numbers: Sequence[int]) -> Callable[[TeamEnvRunner], list[EpisodeOutcome]]:
        episodes, weights = [self.remaining[number] for number in numbers], self._weights
        return lambda runner: play_on_runner(runner, episodes, ray.get(weights))


@dataclass
class _Share:
    """What one runner plays in an evaluation."""

    evaluation: _Evaluation
    numbers: list[int]


def play_on_runner(
    runner: TeamEnvRunner, schedule: Sequence[EvaluationEpisode], weights: Any
) -> Any:
    """Plays episodes on one runner; runs in that runner's process.

    Args:
        runner: The runner.
        schedule: The episodes.
        weights: State of a runner, with the weights to play with.

    Returns:
        The outcomes in the order of the episodes; or the error of a callback of the user's.
    """

    def play(runner: TeamEnvRunner) -> list[EpisodeOutcome]:
        runner.set_state(weights)
        episodes = runner.play_exactly(schedule)
        played = {(episode.task, episode.seed): episode for episode in episodes}
        return [outcome_of(played[task, seed]) for task, seed in schedule]

    return report_errors(runner, play)


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
        TASK_RETURN_MEAN: {row.task: row.return_mean for row in rows},
        TASK_LENGTH_MEAN: {row.task: row.length_mean for row in rows},
        TRUNCATED_SHARE: {row.task: row.truncated_share for row in rows},
        EPISODE_RETURN_MEAN: sum(outcome.episode_return for outcome in outcomes) / len(outcomes),
        EPISODE_LEN_MEAN: steps / len(outcomes),
        NUM_EPISODES: len(outcomes),
        NUM_ENV_STEPS_SAMPLED: steps,
    }
