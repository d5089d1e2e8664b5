"""How many episodes of each task end by the time limit, and the warning if nearly all do."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rllib_ptm.environment.contract import TeamGame, TimeLimited

logger = logging.getLogger(__name__)

# A task is warned of once, if more than this share of so many episodes in a row ended by the limit.
WARNING_SHARE = 0.8
WARNING_EPISODES = 100


class TimeLimits:
    """The share of each task's last episodes that ended by the time limit.

    Args:
        tasks: The names of the trained tasks.
        window_episodes: How many of a task's last episodes count for the share.
    """

    def __init__(self, tasks: Sequence[str], window_episodes: int) -> None:
        self._window = window_episodes
        longest = max(window_episodes, WARNING_EPISODES)
        self._truncated: dict[str, deque[bool]] = {task: deque(maxlen=longest) for task in tasks}
        self._warned: set[str] = set()

    @property
    def shares(self) -> dict[str, float]:
        """The share of each task; 0 before its first episode."""
        return {task: self._share(task, self._window) for task in self._truncated}

    def record(self, task: str, truncated: int, episodes: int) -> None:
        """Adds played episodes of a task.

        Their order is not known: those that ended by the limit are spread evenly.

        Args:
            task: The task's name.
            truncated: How many of them ended by the limit.
            episodes: How many episodes were played.
        """
        counts = [number * truncated // max(episodes, 1) for number in range(episodes + 1)]
        self._truncated[task].extend(after > before for before, after in pairwise(counts))

    def take_new(self) -> dict[str, float]:
        """The tasks to warn of now, with their share of the last episodes; each task comes once."""
        new = {
            task: share
            for task, flags in self._truncated.items()
            if task not in self._warned
            and len(flags) >= WARNING_EPISODES
            and (share := self._share(task, WARNING_EPISODES)) > WARNING_SHARE
        }
        self._warned |= new.keys()
        return new

    def get_state(self) -> dict[str, Any]:
        """The last episodes, and the tasks that were warned of."""
        ends = {task: list(flags) for task, flags in self._truncated.items()}
        return {"truncated": ends, "warned": sorted(self._warned)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores what ``get_state`` returned; a task that is new starts empty."""
        for task, flags in self._truncated.items():
            flags.clear()
            flags.extend(state["truncated"].get(task, ()))
        self._warned = set(state["warned"])

    def _share(self, task: str, episodes: int) -> float:
        last = list(self._truncated[task])[-episodes:]
        return sum(last) / max(len(last), 1)


def new_warnings(limits: TimeLimits, game: TeamGame) -> dict[str, str]:
    """Logs a line for each task to warn of now, and returns them by task.

    Args:
        limits: What was played.
        game: Describes the environment.
    """
    lines = {}
    for task, share in limits.take_new().items():
        remedy = (
            f"if its episodes need longer, raise {game.time_limit(task)}"
            if isinstance(game, TimeLimited)
            else f"environment {game.name!r} ends them by a limit of its own"
        )
        lines[task] = (
            f"task {task!r}: {100 * share:.0f} % of its last {WARNING_EPISODES} training episodes "
            f"ended by the time limit; {remedy}"
        )
        logger.warning("%s", lines[task])
    return lines
