"""A time limit on training that gets no episodes, because all env runners keep failing."""

from __future__ import annotations

import time


class EnvRunnersLostError(RuntimeError):
    """No env runner has given an episode for a long time."""


class Patience:
    """Counts the time since the last episodes came.

    Args:
        seconds: How long to go on without any.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def check(self, num_episodes: int) -> None:
        """To be told what every round of sampling brought.

        Raises:
            EnvRunnersLostError: Nothing, for too long.
        """
        now = time.monotonic()
        if num_episodes:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since > self._seconds:
            raise EnvRunnersLostError(
                f"no env runner has given an episode for sample_timeout_s = {self._seconds:g} s; "
                f"Ray's log (/tmp/ray/session_latest/logs) says why they fail"
            )
