"""The success rate of each task, and the priorities that follow from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from rllib_ptm.checks.errors import InputError, Problems, unknown_name
from rllib_ptm.checks.tables import Table
from rllib_ptm.tasks.priorities import TASK_PRIORITIES

_ROUNDING = 1e-3  # of the sum of a batch's float32 weights


class TaskSuccess:
    """The success rate c of each task, which decides episode weights, task draws and reports.

    A rate is the mean success of the task's last episodes, 0 before the first one. A success is a
    number from 0 to 1.
    ``set_rates`` replaces rates until the next ``record`` of their task.

    Args:
        tasks: The names of the trained tasks.
        window_episodes: How many of a task's last episodes count.
        priority: A row of ``TASK_PRIORITIES``: what makes a task's episodes weigh more.
        temperature: τ of the priorities.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        window_episodes: int,
        priority: str = "win_rate",
        temperature: float = 1.0,
    ) -> None:
        self._priority = TASK_PRIORITIES[priority]
        self._temperature = temperature
        self._outcomes: dict[str, deque[float]] = {
            task: deque(maxlen=window_episodes) for task in tasks
        }
        # The trained tasks in their order, then tasks that only the replay buffer still has.
        self._rates = dict.fromkeys(tasks, 0.0)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the trained tasks."""
        return tuple(self._outcomes)

    @property
    def measured_rates(self) -> dict[str, float]:
        """The mean success of each trained task, without what ``set_rates`` replaced."""
        return {task: _mean(outcomes) for task, outcomes in self._outcomes.items()}

    @property
    def rates(self) -> dict[str, float]:
        """The success rate c of each trained task."""
        return {task: self._rates[task] for task in self._outcomes}

    def record(self, task: str, successes: float, episodes: int) -> None:
        """Adds played episodes of a trained task to its window.

        Args:
            task: The task's name.
            successes: The sum of their successes.
            episodes: How many episodes were played.
        """
        outcomes = self._outcomes[task]
        # The order of these episodes is unknown, so each gets their mean.
        outcomes.extend([successes / max(episodes, 1)] * episodes)
        self._rates[task] = _mean(outcomes)

    def set_rates(self, rates: Mapping[str, float]) -> None:
        """Replaces the success rates of the named tasks; the others keep theirs.

        Raises:
            InputError: A line for each unknown task, and each value that is no number from 0 to 1.
        """
        problems = Problems()
        for task, rate in rates.items():
            with problems.collect():
                if task not in self._rates:
                    raise unknown_name("win_rates", task, self._rates)
                if isinstance(rate, bool) or not isinstance(rate, Real) or not 0.0 <= rate <= 1.0:
                    raise InputError(
                        f"win_rates.{task}: expected a number from 0 to 1, found {rate!r:.100}"
                    )
        problems.raise_if_any()
        self._rates |= {task: float(rate) for task, rate in rates.items()}

    @property
    def progress(self) -> dict[str, float]:
        """How much the mean success of each trained task has changed within its window.

        It is the absolute difference between the later half of the window and the earlier one.
        """
        return {task: _change(list(outcomes)) for task, outcomes in self._outcomes.items()}

    def priorities(self) -> dict[str, float]:
        """ω over the trained tasks."""
        shares = self.weights(self.tasks, np.float64)
        return dict(zip(self.tasks, shares.tolist(), strict=True))

    def weights(self, tasks: Sequence[str], dtype: npt.DTypeLike = np.float32) -> np.ndarray:
        """ω over the episodes of a batch; [B], sums to 1.

        Args:
            tasks: B names, the task of each episode.
            dtype: The type of the numbers.
        """
        progress = self.progress
        of_tasks = np.array([progress.get(task, 0.0) for task in tasks], dtype)
        weights = self._priority(self.rates_of(tasks, dtype), of_tasks, self._temperature)
        if np.shape(weights) != (len(tasks),) or not abs(np.sum(weights) - 1.0) < _ROUNDING:
            raise InputError(
                f"config.task_priority: expected ω of {len(tasks)} episodes, which sums to 1, "
                f"found {weights!r:.200}"
            )
        return weights

    def rates_of(self, tasks: Sequence[str], dtype: npt.DTypeLike = np.float32) -> np.ndarray:
        """The success rate c of the task of each episode; [B].

        Args:
            tasks: B names, the task of each episode.
            dtype: The type of the numbers.
        """
        return np.array([self._rates[task] for task in tasks], dtype)

    def numbers(self, tasks: Sequence[str]) -> np.ndarray:
        """The number of each episode's task; [B] int64. Trained tasks come first, in their order.

        Args:
            tasks: B names, the task of each episode.
        """
        number = {task: i for i, task in enumerate(self._rates)}
        return np.array([number[task] for task in tasks])

    def get_state(self) -> dict[str, Any]:
        """The outcomes in the windows, and the rates."""
        outcomes = {task: list(successes) for task, successes in self._outcomes.items()}
        return {"outcomes": outcomes, "rates": dict(self._rates)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what ``get_state`` returned.

        A trained task that is new starts at 0. A task that is no longer trained keeps its rate, for
        its episodes in the replay buffer.
        """
        for task, outcomes in self._outcomes.items():
            outcomes.clear()
            outcomes.extend(state["outcomes"].get(task, ()))
        self._rates = dict.fromkeys(self._outcomes, 0.0) | state["rates"]


def _mean(successes: Sequence[float]) -> float:
    return sum(successes) / max(len(successes), 1)


def _change(successes: Sequence[float]) -> float:
    half = len(successes) // 2
    return abs(_mean(successes[half:]) - _mean(successes[:half])) if half else 0.0


# What weighs the episodes of a batch in the mining loss: a function of their tasks.
MINING_WEIGHTS: Table[Callable[[TaskSuccess, Sequence[str]], np.ndarray]] = Table(
    {
        "priority": lambda success, tasks: success.weights(tasks),
        "uniform": lambda success, tasks: np.full(len(tasks), 1.0 / len(tasks), np.float32),
    }
)
