"""Bounds what Tune keeps in memory, and in its state file, for each checkpoint of a run.

Tune keeps the whole result of each checkpoint's iteration as long as the checkpoint, and writes all
of them to its state file again and again.
"""

from __future__ import annotations

from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from rllib_ptm.ray_private.tune import shorten_older_results


class ShortenOlderResults(Callback):
    """Keeps the score alone of all checkpoints but the newest, from which a trial may go on.

    Args:
        score: The result key that compares checkpoints; None if nothing does.
    """

    def __init__(self, score: str | None) -> None:
        self._kept = frozenset(filter(None, (score,)))

    def on_checkpoint(self, *, trial: Trial, **info: Any) -> None:
        """Called by Tune for a new checkpoint, before it registers that one."""
        shorten_older_results(trial, self._kept)
