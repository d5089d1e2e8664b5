"""Counts how the episodes of each task end on the env runners, and records it on the driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS

from rllib_ptm.tasks.metrics import (
    EPISODES,
    PRIORITIES,
    TRUNCATED,
    TRUNCATED_SHARE,
    WIN_RATE,
    WIN_RATE_MEAN,
    WINS,
)
from rllib_ptm.tasks.success_rates import TaskSuccess
from rllib_ptm.tasks.time_limits import TimeLimits


class TaskPriorityCallback(RLlibCallback):
    """Measures the success rate of each task.

    To set other rates, replace it by a subclass with ``callbacks(MyCallback)``. Its
    ``on_train_result`` calls this class's, and then ``algorithm.set_win_rates({task: c})``. The
    rates that it sets decide the weights of the next updates, the next task draws
    (``task_draw: priority``) and the reported win rates and priorities.
    """

    def on_sample_end(
        self, *, env_runner: Any = None, metrics_logger: Any = None, samples: Any, **kwargs: Any
    ) -> None:
        """On an env runner: logs each task's episodes, sum of successes, and ends by the limit."""
        played = Counter(episode.task for episode in samples)
        truncated = Counter(episode.task for episode in samples if episode.truncated)
        successes = dict.fromkeys(env_runner.task_names, 0.0)
        for episode in samples:
            successes[episode.task] += episode.success
        for task in env_runner.task_names:  # all tasks: RLlib reports NaN for keys not logged
            metrics_logger.log_value((EPISODES, task), played[task], reduce="sum")
            metrics_logger.log_value((WINS, task), successes[task], reduce="sum")
            metrics_logger.log_value((TRUNCATED, task), truncated[task], reduce="sum")

    def on_train_result(
        self, *, algorithm: Algorithm, result: dict[str, Any], **kwargs: Any
    ) -> None:
        """On the driver: adds this iteration's episodes to the windows of their tasks."""
        runners = result.get(ENV_RUNNER_RESULTS, {})
        successes, truncated = _counts(runners, WINS), _counts(runners, TRUNCATED)
        for task, episodes in _counts(runners, EPISODES).items():
            algorithm.task_success.record(task, successes[task], int(episodes))
            algorithm.time_limits.record(task, int(truncated[task]), int(episodes))


def report_tasks(success: TaskSuccess, limits: TimeLimits, result: dict[str, Any]) -> None:
    """Adds what is known of the trained tasks to a result.

    These are the win rates, their mean, the priorities, and the shares of episodes that ended by
    the time limit.
    """
    runners, rates = result.setdefault(ENV_RUNNER_RESULTS, {}), success.rates
    runners[TRUNCATED_SHARE] = limits.shares
    runners[WIN_RATE] = rates
    runners[WIN_RATE_MEAN] = sum(rates.values()) / len(rates)
    result[PRIORITIES] = success.priorities()


def _counts(runners: Mapping[str, Any], key: str) -> dict[str, float]:
    """The sums by task, without those that RLlib reports as NaN."""
    return {task: float(count) for task, count in runners.get(key, {}).items() if count == count}
