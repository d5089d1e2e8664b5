"""What is known of a trial while it trains: its last result, its speed, the time that is left."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rllib_ptm.cli.read.stop_keys import STOP_KEYS

STEPS = "num_env_steps_sampled_lifetime"
EPISODES = "env_runners/num_episodes_lifetime"
WIN_RATE = "env_runners/win_rate/"
WIN_RATE_MEAN = "env_runners/win_rate_mean"
PRIORITY = "priorities/"
LEARNER = "learners/default_policy/"

# Speeds are those of the last minute: training is slower once learning has started.
_WINDOW_S = 60.0


def flatten(result: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a nested result with keys joined by ``/``, as Tune names them."""
    flat: dict[str, Any] = {}
    for key, value in result.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}/"))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@dataclass
class TrialProgress:
    """Follows one trial from result to result.

    Attributes:
        name: The trial's name.
        stop: The conditions of which the first one reached ends the run.
        clock: Seconds that only ever grow; another one in tests.
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
        """Takes in the result of one iteration."""
        self.latest = flatten(result)
        now = self.clock()
        counters = {key: self.number(key) for key in (*self.stop, STEPS)}
        self._window.append((now, {k: v for k, v in counters.items() if v is not None}))
        # Two results always stay, so that a slow run has a speed too.
        while len(self._window) > 2 and now - self._window[1][0] > _WINDOW_S:
            self._window.popleft()

    def number(self, key: str) -> float | None:
        """The last value of a result key; None where it is absent or not a number yet."""
        value = self.latest.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
            return None
        return float(value)

    def speed(self, key: str) -> float | None:
        """How much a counter grows in a second; None before two results."""
        (start, first), (end, last) = self._window[0], self._window[-1]
        if key not in first or key not in last or end <= start:
            return None
        return (last[key] - first[key]) / (end - start)

    def seconds_left(self) -> float | None:
        """Estimated time until the first stop condition is met; None where nobody can tell."""
        if not self._window:
            return None
        since_update = self.clock() - self._window[-1][0]
        estimates = []
        for key, target in self.stop.items():
            speed, value = self.speed(key), self.number(key)
            if key in STOP_KEYS and STOP_KEYS[key].grows and speed and value is not None:
                estimates.append((target - value) / speed - since_update)
        return max(0.0, min(estimates)) if estimates else None

    def per_task(self, prefix: str) -> dict[str, float]:
        """The values under a prefix, by task, for example ``{"5m_vs_6m": 0.4}``."""
        values = {}
        for key in self.latest:
            value = self.number(key) if key.startswith(prefix) else None
            if value is not None:
                values[key.removeprefix(prefix)] = value
        return values


def clock_text(seconds: float | None) -> str:
    """Seconds as people read them: ``02:05``, ``1:02:05``, or ``--:--`` where unknown."""
    if seconds is None:
        return "--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
