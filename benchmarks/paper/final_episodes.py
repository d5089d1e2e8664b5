"""Greedy episodes of the trained policies, on the trained tasks and on others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from planned_runs import PaperExperiment
from questions import question
from run_store import Key, RunStore, TrainedRun
from trial_folders import TrialFolder, run_folders

from rllib_ptm.cli.run.cluster import import_ray
from rllib_ptm.cli.show.task_table import records_of
from rllib_ptm.cli.show.trial_report import FINAL_SEED


def open_runs(store: RunStore) -> dict[Key, TrainedRun]:
    """The finished runs whose policies have not played all."""
    further = question(store.experiment.name).further_tasks
    return {
        key: run
        for key, run in store.runs.items()
        if not run.run.final or {record["task"] for record in run.further} != set(further)
    }


def unplayed(store: RunStore, storage: Path) -> list[tuple[TrainedRun, Path]]:
    """The finished runs whose policies have not played all, and their checkpoints.

    A run whose checkpoint is gone is left out.
    """
    left = open_runs(store)
    found: dict[Any, tuple[TrainedRun, Path]] = {}
    for trial in _trials(store.experiment, storage):
        if trial.finished and trial.run.key in left and trial.checkpoint is not None:
            found[trial.run.key] = left[trial.run.key], trial.checkpoint
    return list(found.values())


def play(store: RunStore, trained: TrainedRun, checkpoint: Path) -> TrainedRun:
    """Plays what a policy has not played yet.

    Args:
        store: The experiment's runs.
        trained: A finished run.
        checkpoint: Its last checkpoint.
    """
    asked = question(store.experiment.name)
    if not trained.run.final:
        final = _records(checkpoint, None, asked.episodes)
        trained = replace(trained, run=replace(trained.run, final=final))
    if asked.further_tasks:
        played = {record["task"]: record for record in trained.further}
        left = [task for task in asked.further_tasks if task not in played]
        played |= {record["task"]: record for record in _records(checkpoint, left, asked.episodes)}
        trained = replace(trained, further=[played[task] for task in asked.further_tasks])
    return trained


def _trials(experiment: PaperExperiment, storage: Path) -> Iterator[TrialFolder]:
    for entry in experiment.entries:
        for folder in run_folders(experiment, storage, entry.name):
            yield from folder.trials


def _records(checkpoint: Path, tasks: list[str] | None, episodes: int) -> list[dict[str, Any]]:
    """Plays greedily; a record per task, as ``final.json`` has them."""
    if tasks == []:
        return []
    import_ray()
    from rllib_ptm.evaluate.checkpoint_player import evaluate_checkpoint  # imports torch and JAX

    return records_of(
        evaluate_checkpoint(checkpoint, tasks=tasks, episodes_per_task=episodes, seed=FINAL_SEED)
    )
