"""What a trial's folder holds: its settings, and its results row by row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rllib_ptm.checks.errors import InputError
from rllib_ptm.results.flat import flatten, number_in
from rllib_ptm.results.trial_files import RESULTS_JSON, TRAINING_ITERATION, stored_results
from rllib_ptm.tasks import metrics

RECORD, PARAMS, FINAL = "experiment.json", "params.json", "final.json"
SEED = "seed"

# The columns of a run's table that measure how far it has come.
ENV_STEPS, UPDATES, TIME, PROCESSOR_TIME = "env_steps", "updates", "time_s", "processor_time_s"
PROGRESS = (ENV_STEPS, UPDATES, TIME, PROCESSOR_TIME)
OF_TASK = f"{metrics.WIN_RATE}/"  # the name of a task follows

_EVALUATIONS = (f"{metrics.EVALUATION_AT_START}/", metrics.EVALUATION_PATH)
_TRAINED_EPISODES = f"{metrics.LEARNER_PATH}num_module_steps_trained_lifetime"


@dataclass(frozen=True)
class Trial:
    """A trial as its folder has it.

    Attributes:
        folder: The trial's folder.
        record: What the command noted when it began the run; empty if that is lost.
        written: The settings that the experiment's file gave to this trial.
        config: These and the defaults.
        rows: Its results: flat, and without the config.
    """

    folder: Path
    record: Mapping[str, Any]
    written: Mapping[str, Any]
    config: Mapping[str, Any]
    rows: list[dict[str, Any]]

    def progress(self, row: Mapping[str, Any]) -> dict[str, float]:
        """How far the trial had come at a result, by the columns ``PROGRESS``; NaN if unknown."""
        batch_size = number_in(self.config, "batch_size_episodes")
        trained = number_in(row, _TRAINED_EPISODES) or 0.0
        found = {
            ENV_STEPS: number_in(row, metrics.ENV_STEPS),
            UPDATES: round(trained / batch_size) if batch_size else None,
            TIME: number_in(row, "time_total_s"),
            PROCESSOR_TIME: number_in(row, f"{metrics.TIMERS}/{metrics.PROCESSOR_TIME}"),
        }
        return {key: float("nan") if value is None else value for key, value in found.items()}

    def evaluations(self) -> Iterator[dict[str, float]]:
        """Yields how far the trial had come at each evaluation, and its win rates."""
        for row in self.rows:
            for start in _EVALUATIONS:
                if rates := dict(_win_rates(row, start)):
                    trained = start == metrics.EVALUATION_PATH
                    come = self.progress(row) if trained else dict.fromkeys(PROGRESS, 0.0)
                    yield {**come, **rates}


def is_trial(folder: Path) -> bool:
    """Whether a folder holds the results of one trial."""
    return (folder / PARAMS).is_file() or (folder / RESULTS_JSON).is_file()


def is_run_folder(folder: Path) -> bool:
    """Whether a folder is one run of ``rllib train``, with or without trials so far."""
    return (folder / RECORD).is_file() or any(is_trial(inner) for inner in folders_in(folder))


def folders_in(folder: Path) -> list[Path]:
    """The folders inside a folder, in the order of their names.

    Raises:
        InputError: The folder cannot be read.
    """
    try:
        return sorted(inner for inner in folder.iterdir() if inner.is_dir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror}") from None


def load_trial(folder: Path) -> Trial:
    """Reads a trial's folder. What is damaged there is missing in the trial."""
    stored, _ = stored_results(folder)
    reported = next((row["config"] for row in reversed(stored) if "config" in row), None)
    reported = reported if isinstance(reported, dict) else {}
    params = _json_object(folder / PARAMS)
    record = _json_object(folder.parent / RECORD) or {}
    return Trial(
        folder,
        record if isinstance(record.get("config"), dict) else {},
        reported if params is None else params,
        {**reported, **(params or {})},
        _without_repeats(stored),
    )


def _without_repeats(stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Flat rows. A resumed trial repeats iterations; their later results count."""
    rows: list[dict[str, Any]] = []
    for result in stored:
        row = flatten({key: value for key, value in result.items() if key != "config"})
        while rows and rows[-1].get(TRAINING_ITERATION, 0) >= row.get(TRAINING_ITERATION, 0):
            rows.pop()
        rows.append(row)
    return rows


def _win_rates(row: Mapping[str, Any], start: str) -> Iterator[tuple[str, float]]:
    """The win rates of an evaluation in a result; nothing if it holds none."""
    mean = number_in(row, f"{start}{metrics.WIN_RATE_MEAN_PATH}")
    if mean is None:
        return
    yield metrics.WIN_RATE_MEAN, mean
    path = f"{start}{metrics.WIN_RATE_PATH}"
    for key in row:
        if key.startswith(path) and (rate := number_in(row, key)) is not None:
            yield f"{OF_TASK}{key.removeprefix(path)}", rate


def _json_object(file: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if it holds none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
