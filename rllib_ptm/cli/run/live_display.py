"""Shows the live table while Tune runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.console import Console
from rich.live import Live

from rllib_ptm.cli.run.interrupt import INTERRUPTED
from rllib_ptm.cli.show.live_table import live_table, plain_line
from rllib_ptm.cli.show.trial_progress import TrialProgress
from rllib_ptm.tasks.metrics import WARNING_PATH

_SECONDS_BETWEEN_LINES = 10.0
_STOPPING_NOTICE = "Finishing the iteration and saving a checkpoint. A second signal ends at once."


class LiveDisplay(Callback):
    """Shows one live table, or prints a line every ten seconds if the output is not a terminal.

    Tune pickles its callbacks before it starts, so ``setup`` makes everything that draws.

    Args:
        experiment_name: The title.
        stop: The stop conditions, for the time that is left.
        plain: Print lines even on a terminal, for example beside Ray's own log.
    """

    def __init__(self, experiment_name: str, stop: Mapping[str, float], plain: bool) -> None:
        self._experiment_name = experiment_name
        self._stop = dict(stop)
        self._plain = plain
        self._running: dict[str, TrialProgress] = {}
        self._last_line = 0.0
        self._notified = False
        self._any_ended = False
        self._live: Live | None = None

    def setup(self, *, total_num_samples: int | None = None, **info: Any) -> None:
        """Called by Tune before the first trial."""
        self._single = total_num_samples == 1
        console = Console()
        if console.is_terminal and not self._plain:
            self._live = Live(
                get_renderable=self._render, console=console, refresh_per_second=4, transient=True
            )
            self._live.start()

    def _render(self) -> Any:
        notice = _STOPPING_NOTICE if INTERRUPTED.is_set() else ""
        idle = "Saving the results" if self._any_ended else "Starting the trial"
        return live_table(list(self._running.values()), notice, idle)

    def on_trial_start(self, *, trial: Trial, **info: Any) -> None:
        """Called by Tune when a trial's process has started."""
        tag = "" if self._single else f" {trial.experiment_tag}"
        self._running[trial.trial_id] = TrialProgress(self._experiment_name + tag, self._stop)

    def on_trial_result(self, *, trial: Trial, result: dict, **info: Any) -> None:
        """Called by Tune after each iteration of a trial."""
        progress = self._running[trial.trial_id]
        progress.update(result)
        for warning in progress.texts_under(WARNING_PATH):
            self._print_warning(f"{progress.name}: {warning}")
        due = time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES
        if self._live is None and (due or result.get("done")):
            self._last_line = time.monotonic()
            print(plain_line(progress), flush=True)

    def _print_warning(self, line: str) -> None:
        """Prints a line that stays, above the live table if there is one."""
        if self._live is None:
            print(line, flush=True)
        else:
            self._live.console.print(line, style="yellow", markup=False, highlight=False)

    def on_step_end(self, **info: Any) -> None:
        """Called by Tune several times a second."""
        if INTERRUPTED.is_set() and self._live is None and not self._notified:
            self._notified = True
            print(f"{self._experiment_name}: {INTERRUPTED.name}. {_STOPPING_NOTICE}", flush=True)

    def on_trial_complete(self, *, trial: Trial, **info: Any) -> None:
        """Called by Tune when a trial has met a stop condition."""
        self._running.pop(trial.trial_id, None)
        self._any_ended = True

    on_trial_error = on_trial_complete  # called by Tune when a trial has failed

    def on_experiment_end(self, **info: Any) -> None:
        """Called by Tune at the end, also that of an interrupted run."""
        if self._live is not None:
            self._live.stop()
            self._live = None
