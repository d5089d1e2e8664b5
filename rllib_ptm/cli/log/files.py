"""Writes the results of trials to ``result.json`` and ``progress.csv``.

Tune's loggers write to Ray's session folder, and Tune copies the files from there now and then. So
every file exists twice, and a killed run lacks its last rows. These loggers write each row to the
trial's results folder at once. The command trains on a folder of this machine, so they can.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.logger import (
    CSVLoggerCallback,
    JsonLoggerCallback,
    LoggerCallback,
)

from rllib_ptm.results.flat import flatten
from rllib_ptm.results.trial_files import RESULTS_CSV, RESULTS_JSON


class _StoredTrial:
    """A trial whose files are written to its results folder."""

    checkpoint = None  # so Tune's loggers do not look for the files of an earlier run elsewhere

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.local_path = str(trial.path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def init_local_path(self) -> None:
        """Called by Tune's loggers before they open a file; the folder is there already."""


class _InResultsFolder(LoggerCallback):
    """Placed before a logger of Tune: it writes to the results folder.

    It writes what ``each_once`` leaves of a result.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stored: dict[str, Any] = {}

    def log_trial_start(self, trial: Any) -> None:
        """Called when a trial starts or resumes, and by the logger itself."""
        if isinstance(trial, _StoredTrial):
            super().log_trial_start(trial)
            return
        if trial.trial_id not in self._stored:
            self._stored[trial.trial_id] = _StoredTrial(trial)
            os.makedirs(trial.path, exist_ok=True)
            self.continue_files(Path(str(trial.path)))
        super().log_trial_start(self._stored[trial.trial_id])

    def continue_files(self, folder: Path) -> None:
        """Prepares the files that an earlier run of the trial left."""

    def log_trial_result(self, iteration: int, trial: Any, result: dict) -> None:
        """Called after each iteration of a trial."""
        if trial.trial_id not in self._stored:
            self.log_trial_start(trial)
        super().log_trial_result(iteration, self._stored[trial.trial_id], each_once(result))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Called when a trial has ended."""
        super().log_trial_end(self._stored.pop(trial.trial_id, trial), failed)


class ResultJson(_InResultsFolder, JsonLoggerCallback):
    """Writes ``result.json``: a line per iteration."""

    def continue_files(self, folder: Path) -> None:
        """Cuts off a line that a kill left incomplete."""
        drop_partial_line(folder / RESULTS_JSON)


class ProgressCsv(CSVLoggerCallback):
    """Writes ``progress.csv``: a row per iteration, with a column for each metric of the run.

    Tune's logger has only the columns of the first result, before anything is learnt or evaluated.
    This one has those of all metrics from the start, empty where an iteration has no value. If a
    result has a further key, the file is written again with that column.

    Args:
        metrics: The paths of the run's metrics.
    """

    def __init__(self, metrics: Iterable[str]) -> None:
        super().__init__()
        self._metrics = list(metrics)
        self._columns: dict[Path, list[str]] = {}

    def log_trial_start(self, trial: Trial) -> None:
        """Called when a trial starts or resumes."""
        file = Path(str(trial.path)) / RESULTS_CSV
        file.parent.mkdir(parents=True, exist_ok=True)
        drop_partial_line(file)
        self._columns.pop(file, None)

    def log_trial_result(self, iteration: int, trial: Trial, result: dict) -> None:
        """Called after each iteration of a trial."""
        file = Path(str(trial.path)) / RESULTS_CSV
        row = flatten({key: value for key, value in result.items() if key != "config"})
        if file not in self._columns:
            self._columns[file] = _read_columns(file)
        columns = self._columns[file]
        missing = dict.fromkeys(key for key in (*row, *self._metrics) if key not in set(columns))
        if missing:
            columns += missing
            _add_columns(file, columns)
        with file.open("a", newline="") as out:
            csv.DictWriter(out, columns).writerow(without_nan(row))

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Called when a trial has ended; nothing is open."""


def each_once(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result without the metrics that it has a second time, and without NaN."""
    return without_nan({key: value for key, value in result.items() if "/" not in key})


def without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with None in place of NaN, which JSON does not know."""
    return {
        key: without_nan(value)
        if isinstance(value, Mapping)
        else None
        if isinstance(value, float) and math.isnan(value)
        else value
        for key, value in values.items()
    }


def drop_partial_line(file: Path) -> None:
    """Cuts off what follows the last line break, which a kill may have left."""
    if file.is_file():
        whole = file.read_bytes().rpartition(b"\n")
        os.truncate(file, len(whole[0]) + len(whole[1]))


def _read_columns(file: Path) -> list[str]:
    if not file.is_file():
        return []
    with file.open(newline="") as rows:
        return next(csv.reader(rows), [])


def _add_columns(file: Path, columns: list[str]) -> None:
    """Writes the file again with more columns, as a whole or not at all."""
    draft = file.with_suffix(".tmp")
    with draft.open("w", newline="") as out:
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        if file.is_file():
            with file.open(newline="") as rows:
                writer.writerows(csv.DictReader(rows))
    draft.replace(file)
