"""The state of a trial while it trains: its last result, its speed, and the time that is left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rllib_ptm.cli.read.result_keys import RESULT_KEYS
from rllib_ptm.results.flat import flatten, number_in
from rllib_ptm.tasks.metrics import ENV_STEPS

# A speed is that of the last minute, because training slows down when learning starts.
_WINDOW_S = 60.0


@dataclass
class TrialProgress:
    """Follows one trial from result to result.

    Attributes:
        name: The trial's name.
        stop: The stop conditions; the first one that is met ends the run.
        clock: A monotonic clock, in seconds; tests replace it.
        latest: The last result, flat.
    """

    name: str
    stop: Mapping[str, float]
    clock: Callable[[], float] = time.monotonic
    latest: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.started = self.clock()
        self._window: deque[tuple[float, dict[str, float]]] = deque()

    def update(self, result: Mapping[str, Any]) -> None:
        """Adds the result of one iteration."""
        self.latest = flatten(result)
        now = self.clock()
        counters = {key: self.number(key) for key in (*self.stop, ENV_STEPS)}
        self._window.append((now, {k: v for k, v in counters.items() if v is not None}))
        # Two results always stay, so that a slow run also has a speed.
        while len(self._window) > 2 and now - self._window[1][0] > _WINDOW_S:
            self._window.popleft()

    def number(self, key: str) -> float | None:
        """The last value of a result key; None if it is missing or not finite."""
        return number_in(self.latest, key)

    def speed(self, key: str) -> float | None:
        """The growth of a counter per second; None before two results."""
        (start, first), (end, last) = self._window[0], self._window[-1]
        if key not in first or key not in last or end <= start:
            return None
        return (last[key] - first[key]) / (end - start)

    def seconds_left(self) -> float | None:
        """Estimated time until the first stop condition is met; None if it cannot be estimated."""
        if not self._window:
            return None
        since_update = self.clock() - self._window[-1][0]
        estimates = []
        for key, target in self.stop.items():
            speed, value = self.speed(key), self.number(key)
            if key in RESULT_KEYS and RESULT_KEYS[key].grows and speed and value is not None:
                estimates.append((target - value) / speed - since_update)
        return max(0.0, min(estimates)) if estimates else None

    def texts_under(self, path: str) -> list[str]:
        """The texts under a path."""
        return [str(text) for key, text in self.latest.items() if key.startswith(path)]

    def numbers_under(self, path: str) -> dict[str, float]:
        """The numbers under a path, by the rest of their keys, for example a task's name."""
        keys = [key for key in self.latest if key.startswith(path)]
        values = {key.removeprefix(path): self.number(key) for key in keys}
        return {name: value for name, value in values.items() if value is not None}


def clock_text(seconds: float | None) -> str:
    """Seconds as ``02:05`` or ``1:02:05``; ``--:--`` for None."""
    if seconds is None:
        return "--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
