"""Continues a run: checks what it left, says where each trial goes on from, and hands it to Tune.

Everything that Tune reads is written again from what could be read, so a damaged file of Tune's
own never decides what is trained.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune import Callback, CheckpointConfig
from ray.tune import Experiment as TuneExperiment
from ray.tune.experiment import Trial
from ray.tune.search import BasicVariantGenerator, SearchAlgorithm

from rllib_ptm.checks.errors import InputError, located
from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.search.algorithms import RANDOM, OptunaSettings
from rllib_ptm.cli.read.search.spaces import tune_space
from rllib_ptm.cli.resume.run_folder import (
    changes,
    config_differences,
    read_record,
    write_record,
)
from rllib_ptm.cli.resume.run_lock import check_not_in_use
from rllib_ptm.cli.resume.saved_trials import STATE_FILES, SavedTrial, free_keys, read_trials
from rllib_ptm.cli.resume.stop_conditions import stop_conditions
from rllib_ptm.results.flat import flatten
from rllib_ptm.results.trial_files import last_number, mend_rows, mend_table

_SEARCH_FILES = "basic-variant-state-*.json"  # Tune's name
_CALLBACK_FILES = "callback-states-*.pkl"


class NothingLeftError(InputError):
    """A run left no checkpoint to go on from."""


@dataclass
class Resumable:
    """A run that can go on.

    Attributes:
        experiment: What to train.
        folder: The run's folder.
        trials: Its trials.
        notes: A line for each thing that cannot be used, or that has changed.
    """

    experiment: Experiment
    folder: Path
    trials: list[SavedTrial]
    notes: list[str]

    def lines(self) -> list[str]:
        """Where each trial goes on from."""
        said = []
        for one in self.trials:
            name = f"trial {one.trial.trial_id[-5:]}: " if len(self.trials) > 1 else ""
            if one.checkpoint is None:
                said.append(f"{name}begins at iteration 1: it has no checkpoint")
            elif one.finished:
                said.append(f"{name}has finished at {one.reached}; nothing is left to train")
            else:
                said.append(f"{name}goes on from {one.reached}, {one.checkpoint}")
        return said


def check_resumable(experiment: Experiment, folder: Path) -> Resumable:
    """Checks that a run can go on as the experiment says. Changes nothing.

    Raises:
        NothingLeftError: There is nothing to go on from.
        InputError: The experiment is another one, or another process trains in the folder.
    """
    with located("--resume: "):
        check_not_in_use(folder)
    record, problem = read_record(folder)
    notes = [] if record else [f"{problem}; the trials' own settings are compared instead"]
    if record:
        notes += [f"--resume: {change}" for change in changes(experiment, record)]
    trials, more = read_trials(experiment, folder, record["stop"] if record else None)
    differences = {
        f"{one.folder}: {difference}": None
        for one in trials
        for difference in config_differences(experiment, one.trial.config, free_keys(experiment))
    }
    if differences:
        raise InputError(f"--resume: a trial was trained otherwise: {'; '.join(differences)}")
    if all(one.checkpoint is None for one in trials):
        raise NothingLeftError(
            *(f"--resume: {note}" for note in more),
            f"--resume: there is nothing to go on from: {folder} holds no whole checkpoint; "
            "without --resume the run starts from the beginning",
        )
    return Resumable(experiment, folder, trials, notes + more)


def write_states(run: Resumable) -> None:
    """Writes what Tune restores: the trials, and which ones its search has begun."""
    folder = run.folder
    write_record(run.experiment, folder)
    for one in run.trials:
        mend_rows(one.folder)
        mend_table(one.folder)
    session = _session(folder)
    for one in run.trials:
        one.trial.stub = False
    state = {
        "trial_data": [one.trial.get_json_state() for one in run.trials],
        "runner_data": {"_session_str": session, "_start_time": time.time()},
        "stats": {"start_time": time.time()},
    }
    _write_whole(folder / STATE_FILES.replace("*", session), json.dumps(state))
    if run.experiment.search_alg == RANDOM:
        _search_state(run).save_to_dir(str(folder), session_str=session)
    for pattern in (STATE_FILES, _SEARCH_FILES, _CALLBACK_FILES):
        for file in folder.glob(pattern):
            if session not in file.name:
                # Renamed rather than removed: the newest one may be damaged and worth a look.
                file.replace(file.with_name(f"{file.name}.old"))


class OnlyRestored(Callback):
    """Ends a run whose trials Tune could not restore: it would start again in silence.

    Args:
        trial_ids: The trials that must be there.
    """

    def __init__(self, trial_ids: Collection[str]) -> None:
        self._expected = frozenset(trial_ids)

    def on_step_begin(self, *, trials: Sequence[Trial], **info: Any) -> None:
        """Called by Tune several times a second, the first time before a trial starts."""
        missing = self._expected - {trial.trial_id for trial in trials}
        if missing:
            raise InputError(
                f"--resume: Ray Tune cannot restore the trials {', '.join(sorted(missing))}; "
                f"nothing was trained; -v shows Ray's reasons"
            )


def make_search(experiment: Experiment, run: Resumable | None) -> SearchAlgorithm | None:
    """What draws the trials; None = Tune's random search, whose state ``write_states`` writes.

    Args:
        experiment: What to train.
        run: The run that goes on; None = it is a new one.
    """
    if experiment.search_alg == RANDOM:
        return None
    from rllib_ptm.cli.resume.optuna_trials import OptunaTrials

    if run is None:
        return OptunaTrials(experiment)
    begun = {one.trial.trial_id: one.trial.config for one in run.trials}
    search = OptunaTrials(experiment, begun, _found(run))
    search.add_configurations(_tune_experiment(run))
    return search


def _found(run: Resumable) -> dict[str, float | None]:
    """The last value of the search's metric, of each trial that has ended."""
    settings = run.experiment.search_settings
    assert isinstance(settings, OptunaSettings)
    return {
        one.trial.trial_id: last_number(one.folder, flatten(one.result), settings.metric)
        for one in run.trials
        if one.finished
    }


def _tune_experiment(run: Resumable) -> TuneExperiment:
    """A run as Tune's search algorithms take it."""
    experiment = run.experiment
    config, num_samples = experiment.samples()
    return TuneExperiment(
        run.folder.name,
        experiment.algorithm,
        config=tune_space(config),
        stop=stop_conditions(experiment),
        num_samples=num_samples,
        storage_path=str(run.folder.parent),
        checkpoint_config=CheckpointConfig(**experiment.checkpoint.model_dump()),
        max_failures=experiment.max_failures,
    )


def _search_state(run: Resumable) -> BasicVariantGenerator:
    """Tune's search, as it is after it has begun these trials."""
    experiment = run.experiment
    ids = [one.trial.trial_id for one in run.trials]
    search = BasicVariantGenerator()
    search.set_state({"_uuid_prefix": ids[0][:6]})
    search.add_configurations(_tune_experiment(run))
    for _ in range(1 + max(int(trial_id[-5:]) for trial_id in ids)):
        begun = search.next_trial()
        if begun is not None and begun.trial_id not in ids:
            search.on_trial_complete(begun.trial_id)
    for one in run.trials:
        if one.finished:
            search.on_trial_complete(one.trial.trial_id)
    search.max_concurrent = experiment.max_concurrent_trials or 0
    return search


def _session(folder: Path) -> str:
    """A name for the states that sorts after all earlier ones, also if the clock was set back."""
    now = time.strftime("%Y-%m-%d_%H-%M-%S")
    prefix, suffix = STATE_FILES.split("*")
    earlier = [
        file.name.removeprefix(prefix).removesuffix(suffix) for file in folder.glob(STATE_FILES)
    ]
    return max([now, *(f"{name}+" for name in earlier if name >= now)])


def _write_whole(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.draft")
    with draft.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)
