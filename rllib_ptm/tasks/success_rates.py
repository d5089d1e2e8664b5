"""Each task's win rate over its last training episodes, and the priority that follows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch

from rllib_ptm.model.losses import task_priorities


class WinRates:
    """The win rate c of each task over a window of its last episodes; 0 before the first.

    Args:
        tasks: The tasks' names.
        window_episodes: How many episodes of a task count.
    """

    def __init__(self, tasks: Sequence[str], window_episodes: int) -> None:
        self._outcomes: dict[str, deque[bool]] = {
            task: deque(maxlen=window_episodes) for task in tasks
        }

    def record(self, task: str, wins: int, episodes: int) -> None:
        """Adds what was played: so many episodes of a task, so many of them won."""
        self._outcomes[task].extend([True] * wins + [False] * (episodes - wins))

    def rates(self) -> dict[str, float]:
        """Each task's c."""
        return {task: sum(won) / max(len(won), 1) for task, won in self._outcomes.items()}

    def priorities(self) -> dict[str, float]:
        """ω over the tasks: what is won less has the higher share."""
        rates = self.rates()
        shares = task_priorities(torch.tensor(list(rates.values()), dtype=torch.float64))
        return dict(zip(rates, shares.tolist(), strict=True))

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {task: list(won) for task, won in self._outcomes.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes the outcomes of the tasks that are still played; a new task starts at 0."""
        for task, won in self._outcomes.items():
            won.clear()
            won.extend(state.get(task, ()))
