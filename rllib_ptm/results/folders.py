"""Reads the results folders of ``rllib train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllib_ptm.results.runs import Run
from rllib_ptm.results.settings import METHOD, names_of, searched_values, settings_hash
from rllib_ptm.results.trial_files import broken_rows_text
from rllib_ptm.results.trials import (
    FINAL,
    OF_TASK,
    PARAMS,
    PROGRESS,
    SEED,
    Trial,
    folders_in,
    is_trial,
    load_trial,
)
from rllib_ptm.tasks import metrics

if TYPE_CHECKING:
    import pandas as pd


def read_run_folder(folder: Path, experiment: str | None, notes: list[str]) -> list[Run]:
    """Reads all trials of a run's folder.

    Args:
        folder: The folder of an entry of an experiment's file.
        experiment: The experiment's name; None = it follows from the entry's name.
        notes: Gets a line for each trial that is damaged or unfinished.
    """
    trials = [inner for inner in folders_in(folder) if is_trial(inner)]
    if not trials:
        notes.append(f"{folder}: no trial has begun yet")
    runs = [read_trial(trial, experiment, notes) for trial in trials]
    return [run for run in runs if run is not None]


def read_trial(folder: Path, experiment: str | None, notes: list[str]) -> Run | None:
    """Reads one trial; None, and a note, if it holds nothing to show.

    Args:
        folder: The trial's folder.
        experiment: The experiment's name; None = it follows from the entry's name.
        notes: Gets a line for what is damaged or unfinished.
    """
    if broken := broken_rows_text(folder):
        notes.append(broken)
    trial = load_trial(folder)
    if problem := _problem(trial):
        notes.append(f"{folder}: {problem}; left out")
        return None
    algorithm = str(trial.record.get("algorithm", ""))
    entry = str(trial.record.get("name", folder.parent.name))
    method = str(trial.config.get(METHOD) or algorithm or "unknown")
    grid = searched_values(trial.record.get("config", {}), trial.config)
    experiment, variant = names_of(entry, method, grid, experiment)
    run = Run(
        experiment=experiment,
        variant=variant,
        method=method,
        seed=trial.config.get(SEED),
        grid=grid,
        settings=settings_hash(algorithm, trial.written),
        finished=bool(trial.rows[-1].get("done")),
        curve=_curve(trial),
        final=_final(folder / FINAL, notes),
        folder=folder,
    )
    if not len(run.curve):
        notes.append(f"{run.name}: no evaluation yet, or evaluation_interval is not set")
    if not run.finished:
        steps = trial.progress(trial.rows[-1])["env_steps"]
        notes.append(f"{run.name}: unfinished, at {steps:,.0f} steps")
    return run


def _problem(trial: Trial) -> str:
    """Why a trial cannot be shown; empty if it can."""
    seed = trial.config.get(SEED)
    if not trial.rows:
        return "no result yet"
    if not trial.config:
        return f"{PARAMS} cannot be read, and no result holds the settings"
    if seed is not None and not isinstance(seed, int):
        return f"the seed {seed!r:.40} is no whole number"
    return ""


def _curve(trial: Trial) -> pd.DataFrame:
    import pandas as pd

    table = pd.DataFrame([*trial.evaluations()])
    tasks = sorted(column for column in table.columns if column.startswith(OF_TASK))
    columns = [*PROGRESS, *([metrics.WIN_RATE_MEAN] if len(table) else []), *tasks]
    return table.reindex(columns=columns).astype(float)


def _final(file: Path, notes: list[str]) -> list[dict[str, Any]]:
    """A record per task of the episodes that were played after training."""
    if not file.is_file():
        return []
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [dict(record) for record in content if not record.get("composition")]
    except (OSError, ValueError, TypeError, AttributeError):
        notes.append(f"{file} cannot be read and is left out")
        return []
