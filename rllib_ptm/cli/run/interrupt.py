"""Ctrl-C or SIGTERM while training: finish the iteration, save a checkpoint, and end.

Tune alone would end at once, and a run without regular checkpoints would be lost.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)
from rich.console import Console

from rllib_ptm.cli.run.exit_codes import (
    EXIT_FAILED,
    EXIT_TERMINATED,
    exit_code_of,
    handle_signal,
)
from rllib_ptm.cli.run.storage_faults import last_good
from rllib_ptm.cli.show.messages import print_errors
from rllib_ptm.ray_private.cluster import ended_ray_processes
from rllib_ptm.ray_private.tune import forget_handled
from rllib_ptm.results.flat import number_in

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_SECONDS_BETWEEN_CHECKS = 0.5


class StopRequest:
    """The signal that asked this process to stop training, if one did."""

    def __init__(self) -> None:
        self._number: int | None = None

    def set(self, number: int) -> None:
        """Records a signal."""
        self._number = number

    def clear(self) -> None:
        """Forgets it."""
        self._number = None

    def is_set(self) -> bool:
        """Whether a signal has come."""
        return self._number is not None

    @property
    def exit_code(self) -> int:
        """The exit code of the command: 0 without a signal."""
        return 0 if self._number is None else exit_code_of(self._number)

    @property
    def name(self) -> str:
        """What came, in words."""
        return "Ctrl-C" if self._number == signal.SIGINT else "SIGTERM"


# One for the process. Tune stores the scheduler and the callback in separate files, so after a
# restore they share nothing else.
INTERRUPTED = StopRequest()


class _Pausing(TrialScheduler):
    """Placed before a scheduler: after a signal it pauses each trial, which saves a checkpoint.

    It hides iterations that do not report the metric, such as those without an evaluation.
    """

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict) -> str:
        """Called by Tune after each iteration, with a flat result."""
        if INTERRUPTED.is_set():
            return TrialScheduler.PAUSE
        if not self._is_reported(result):
            return TrialScheduler.CONTINUE
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict) -> None:
        """Called by Tune when a trial has met a stop condition."""
        if self._is_reported(result):
            super().on_trial_complete(tune_controller, trial, result)

    def _is_reported(self, result: dict) -> bool:
        """Whether the result has a value of the metric that compares the trials."""
        return self.metric is None or number_in(result, self.metric) is not None

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Called by Tune several times a second for the next trial to start or to resume."""
        forget_handled(tune_controller)
        return None if INTERRUPTED.is_set() else super().choose_trial_to_run(tune_controller)


class PausingFIFO(_Pausing, FIFOScheduler):
    """Runs the trials in order."""


class PausingASHA(_Pausing, AsyncHyperBandScheduler):
    """Stops trials that are worse than others at the same progress."""


class PausingPBT(_Pausing, PopulationBasedTraining):
    """Population based training (Jaderberg et al., 2017).

    The worst trials continue from the best ones' checkpoints, with changed settings.
    """


class InterruptCallback(Callback):
    """Handles Ctrl-C and SIGTERM until every trial is paused; a second signal ends at once."""

    def setup(self, **info: Any) -> None:
        """Called by Tune before the first trial, after it has set its own handler."""
        self._end_run: Any = signal.getsignal(signal.SIGINT)
        for number in _STOPPING:
            handle_signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if INTERRUPTED.is_set():
            self._end_run(number, frame)
        INTERRUPTED.set(number)

    def on_step_end(self, *, trials: Sequence[Trial], **info: Any) -> None:
        """Called by Tune several times a second."""
        if INTERRUPTED.is_set() and not any(t.status == Trial.RUNNING for t in trials):
            self._end_run(signal.SIGINT, None)


@contextmanager
def signals_of_a_run() -> Iterator[None]:
    """Restores the handlers after a run of Tune, so that a signal ends what follows it."""
    INTERRUPTED.clear()
    before = {number: signal.getsignal(number) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            handle_signal(number, handler)


@contextmanager
def ends_with_ray(name: str, folder: Path) -> Iterator[None]:
    """Within the block, this process ends soon after Ray's own processes have ended.

    A signal to all processes of a machine or of a job ends those as well. Nothing can be saved
    then, and Ray waits for them for a minute, where no exception can interrupt it.

    Args:
        name: The experiment.
        folder: The run's folder.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SECONDS_BETWEEN_CHECKS):
            if ended := ended_ray_processes():
                _exit_without_ray(name, folder, ended)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _exit_without_ray(name: str, folder: Path, ended: Mapping[str, int]) -> None:
    """Ends this process at once, and says why."""
    with suppress(OSError):
        Console().show_cursor()  # which a live table hides
        sys.stdout.flush()
    by_sigterm = {-signal.SIGTERM, EXIT_TERMINATED} & set(ended.values())
    if INTERRUPTED.is_set() or by_sigterm:  # this process may be too busy to handle the signal
        why = f"{INTERRUPTED.name} has ended Ray's own processes too, so nothing could be saved"
    else:
        why = f"Ray's own processes have ended: {', '.join(sorted(ended))}"
    print_errors([f"{name}: {why}; {last_good(folder) or 'no checkpoint is left'}"])
    os._exit(INTERRUPTED.exit_code or (EXIT_TERMINATED if by_sigterm else EXIT_FAILED))
