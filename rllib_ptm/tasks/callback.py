"""Counts wins per task where episodes are played, and turns them into win rates on the driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS

from rllib_ptm.tasks.metrics import EPISODES, PRIORITIES, WIN_RATE, WIN_RATE_MEAN, WINS


class TaskPriorityCallback(RLlibCallback):
    """Win rates and priorities of the tasks.

    A class of your own takes its place with ``callbacks(MyCallback)``: it calls
    ``algorithm.set_win_rates({task: c})`` in ``on_train_result``, and what it sets decides the
    weights of the next updates.
    """

    def on_sample_end(
        self, *, env_runner: Any = None, metrics_logger: Any = None, samples: Any, **kwargs: Any
    ) -> None:
        """On an env runner: logs how many episodes of each task ended, and how many were won."""
        played = Counter(episode.task for episode in samples)
        won = Counter(episode.task for episode in samples if episode.won)
        for task in env_runner.task_names:  # every task, or RLlib reports NaN for those left out
            metrics_logger.log_value((EPISODES, task), played[task], reduce="sum")
            metrics_logger.log_value((WINS, task), won[task], reduce="sum")

    def on_train_result(
        self, *, algorithm: Algorithm, result: dict[str, Any], **kwargs: Any
    ) -> None:
        """On the driver: moves the window on, and reports win rates and priorities."""
        runners = result.get(ENV_RUNNER_RESULTS, {})
        rates = algorithm.win_rates
        for task, episodes in _counts(runners, EPISODES).items():
            rates.record(task, _counts(runners, WINS)[task], episodes)
        algorithm.set_win_rates(rates.rates())
        runners[WIN_RATE] = rates.rates()
        runners[WIN_RATE_MEAN] = sum(rates.rates().values()) / len(rates.rates())
        result[PRIORITIES] = rates.priorities()


def _counts(runners: Mapping[str, Any], key: str) -> dict[str, int]:
    return {task: int(count) for task, count in runners.get(key, {}).items() if count == count}
