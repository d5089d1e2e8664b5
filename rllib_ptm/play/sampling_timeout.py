"""A time limit for training without episodes: it ends a run whose env runners all keep failing."""

from __future__ import annotations

import time


class EnvRunnersLostError(RuntimeError):
    """No env runner has returned an episode within the time limit."""


class SamplingTimeout:
    """Measures the time since the last episodes.

    Args:
        seconds: The time limit.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._replaced = False

    def check(self, num_episodes: int) -> None:
        """Records the result of one round of sampling.

        Args:
            num_episodes: Number of episodes that the round returned.

        Raises:
            EnvRunnersLostError: No episodes for longer than the time limit.
        """
        now = time.monotonic()
        if num_episodes:
            self._since = None
            self._replaced = False
        elif self._since is None:
            self._since = now
        elif now - self._since > self._seconds:
            raise EnvRunnersLostError(
                f"no env runner has given an episode for sample_timeout_s = {self._seconds:g} s; "
                f"Ray's log (/tmp/ray/session_latest/logs) says why they fail"
            )

    def runner_replaced(self) -> None:
        """Restarts the time limit for a new runner; without episodes it does so only once."""
        if not self._replaced:
            self._since = None
            self._replaced = True
