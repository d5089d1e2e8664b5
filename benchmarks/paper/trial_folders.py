"""The runs of an experiment in the results folders of ``rllib train``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from planned_runs import SEED, PaperExperiment, PlannedRun
from run_store import Key, TrainedRun

from rllib_ptm.checks.errors import located
from rllib_ptm.cli.read.search.spaces import variants
from rllib_ptm.cli.resume.run_folder import RECORD_FILE, read_record
from rllib_ptm.results.folders import read_trial
from rllib_ptm.results.settings import settings_hash
from rllib_ptm.results.trial_files import RESULTS_JSON
from rllib_ptm.results.trials import PARAMS, folders_in, load_trial

_CHECKPOINT = re.compile(r"checkpoint_[0-9]+")
# A result is one line of result.json; with a hundred tasks it has some ten thousand characters.
_LAST_BYTES = 1_000_000


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial, of a run that is planned.

    Attributes:
        folder: The trial's folder.
        run: The planned run.
        finished: Whether it has met the stop conditions that the YAML file has now.
    """

    folder: Path
    run: PlannedRun
    finished: bool

    @property
    def checkpoint(self) -> Path | None:
        """Its newest checkpoint; None if it has none."""
        named = [inner for inner in folders_in(self.folder) if _CHECKPOINT.fullmatch(inner.name)]
        return max(named, key=lambda folder: int(folder.name.split("_")[1]), default=None)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one ``rllib train`` of an entry.

    Attributes:
        folder: The folder.
        record: What the command noted when it began.
        begun: The runs that it trains; None in the place of one that the YAML file does not have
            any more.
        trials: The folders of those that have begun.
    """

    folder: Path
    record: Mapping[str, Any]
    begun: tuple[PlannedRun | None, ...]
    trials: tuple[TrialFolder, ...]

    def left(self) -> set[Key | None]:
        """What ``rllib train --resume`` would train: all but the finished ones.

        The command begins again with one that has finished, but has no checkpoint any more.
        """
        whole = {t.run.key for t in self.trials if t.finished and t.checkpoint is not None}
        return {None if run is None else run.key for run in self.begun} - whole

    @property
    def can_go_on(self) -> bool:
        """Whether an unfinished run has a checkpoint."""
        return any(not trial.finished and trial.checkpoint is not None for trial in self.trials)


def run_folders(experiment: PaperExperiment, storage: Path, entry: str) -> list[RunFolder]:
    """The folders of an entry: its name, and the name with ``-2``, ``-3``, ...

    Args:
        experiment: The experiment.
        storage: The results folder.
        entry: The name of the entry.
    """
    form = re.compile(rf"{re.escape(entry)}(?:-(\d+))?")
    numbered = []
    for folder in folders_in(storage) if storage.is_dir() else ():
        match = form.fullmatch(folder.name)
        record, _ = read_record(folder) if match else (None, "")
        if match and record is not None and record.get("name") == entry:
            numbered.append((int(match[1] or 1), _run_folder(experiment, folder, record)))
    return [folder for _, folder in sorted(numbered, key=lambda pair: pair[0])]


def finished_runs(
    experiment: PaperExperiment, storage: Path, known: Collection[Key] = ()
) -> Iterator[TrainedRun]:
    """Reads the runs of an experiment that have finished.

    Args:
        experiment: The experiment.
        storage: The results folder.
        known: Runs that are left out, so that nobody waits for their files to be read.
    """
    for entry in experiment.entries:
        for run_folder in run_folders(experiment, storage, entry.name):
            for trial in run_folder.trials:
                if trial.finished and trial.run.key not in known:
                    yield from _trained(experiment, trial)


def other_settings(experiment: PaperExperiment, storage: Path) -> list[str]:
    """A line for each run folder that trains what the YAML file does not have (any more)."""
    return [
        f"{run_folder.folder}: {run_folder.begun.count(None)} of {len(run_folder.begun)} runs have "
        f"settings that {experiment.file} does not have; they are left out"
        for entry in experiment.entries
        for run_folder in run_folders(experiment, storage, entry.name)
        if None in run_folder.begun
    ]


def _run_folder(experiment: PaperExperiment, folder: Path, record: Mapping[str, Any]) -> RunFolder:
    entry, algorithm = record["name"], str(record.get("algorithm", ""))
    planned = {(run.settings, run.seed): run for run in experiment.runs if run.entry == entry}

    def plan_of(config: Mapping[str, Any]) -> PlannedRun | None:
        return planned.get((settings_hash(algorithm, config), config.get(SEED, -1)))

    trials = []
    for inner in folders_in(folder):
        params = _json(inner / PARAMS)
        run = None if params is None else plan_of(params)
        if run is not None:
            finished = dict(run.stop) == record.get("stop") and _is_done(inner)
            trials.append(TrialFolder(inner, run, finished))
    with located(f"{folder / RECORD_FILE}: "):
        begun = tuple(map(plan_of, variants(record["config"], "config")))
    return RunFolder(folder, record, begun, tuple(trials))


def _trained(experiment: PaperExperiment, trial: TrialFolder) -> Iterator[TrainedRun]:
    """The run of a finished trial; nothing if it was never evaluated."""
    run = read_trial(trial.folder, experiment.name, [])
    if run is not None and len(run.curve):
        # The grid that a folder was begun with may be a part of the file's.
        named = replace(run, variant=trial.run.variant, grid=trial.run.grid)
        loaded = load_trial(trial.folder)
        yield TrainedRun(named, trial.run.stop, loaded.progress(loaded.rows[-1]))


def _is_done(folder: Path) -> bool:
    """Whether the last result of a trial says that it has met its stop conditions."""
    try:
        with (folder / RESULTS_JSON).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LAST_BYTES))
            lines = file.read().splitlines()
        return bool(lines) and bool(json.loads(lines[-1]).get("done"))
    except (OSError, ValueError):
        return False


def _json(file: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
