"""Ctrl-C during training: finish the iteration, save a checkpoint, end so that it can go on.

Tune alone would end at once, and a run without regular checkpoints would be lost.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

# One for the process: Tune stores the scheduler and the callback in files of their own, so after
# a restore the two know each other only through this.
INTERRUPTED = threading.Event()


class PausingScheduler(FIFOScheduler):
    """Runs the trials in order; once interrupted, pauses each, which saves a checkpoint."""

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict) -> str:
        """Called by Tune after each iteration."""
        return TrialScheduler.PAUSE if INTERRUPTED.is_set() else TrialScheduler.CONTINUE

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Called by Tune for the next trial to start or to go on with."""
        return None if INTERRUPTED.is_set() else super().choose_trial_to_run(tune_controller)


class InterruptCallback(Callback):
    """Takes over Ctrl-C from Tune until every trial is paused; a second one ends at once."""

    def setup(self, *args: Any, **info: Any) -> None:
        """Called by Tune before the first trial, after it has set its own handler."""
        INTERRUPTED.clear()
        self._end_run: Any = signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if INTERRUPTED.is_set():
            self._end_run(number, frame)
        INTERRUPTED.set()

    def on_step_end(self, iteration: int, trials: Sequence[Trial], **info: Any) -> None:
        """Called by Tune several times a second."""
        if INTERRUPTED.is_set() and not any(t.status == Trial.RUNNING for t in trials):
            self._end_run(signal.SIGINT, None)
