"""Counts the successes of each task on the env runners, and records them on the driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS

from rllib_ptm.tasks.metrics import EPISODES, PRIORITIES, WIN_RATE, WIN_RATE_MEAN, WINS
from rllib_ptm.tasks.success_rates import TaskSuccess


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
        """On an env runner: logs the number of episodes and the sum of successes of each task."""
        played = Counter(episode.task for episode in samples)
        successes = dict.fromkeys(env_runner.task_names, 0.0)
        for episode in samples:
            successes[episode.task] += episode.success
        for task in env_runner.task_names:  # all tasks: RLlib reports NaN for keys not logged
            metrics_logger.log_value((EPISODES, task), played[task], reduce="sum")
            metrics_logger.log_value((WINS, task), successes[task], reduce="sum")

    def on_train_result(
        self, *, algorithm: Algorithm, result: dict[str, Any], **kwargs: Any
    ) -> None:
        """On the driver: adds this iteration's episodes to the windows of their tasks."""
        runners = result.get(ENV_RUNNER_RESULTS, {})
        successes = _counts(runners, WINS)
        for task, episodes in _counts(runners, EPISODES).items():
            algorithm.task_success.record(task, successes[task], int(episodes))


def report_tasks(success: TaskSuccess, result: dict[str, Any]) -> None:
    """Adds the win rates, their mean and the priorities of the trained tasks to a result."""
    runners, rates = result.setdefault(ENV_RUNNER_RESULTS, {}), success.rates
    runners[WIN_RATE] = rates
    runners[WIN_RATE_MEAN] = sum(rates.values()) / len(rates)
    result[PRIORITIES] = success.priorities()


def _counts(runners: Mapping[str, Any], key: str) -> dict[str, float]:
    """The sums by task, without those that RLlib reports as NaN."""
    return {task: float(count) for task, count in runners.get(key, {}).items() if count == count}
