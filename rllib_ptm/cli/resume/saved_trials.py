"""The trials of an earlier run: what Tune's experiment state and the trials' folders say of them.

Tune alone starts again with an empty config where it cannot read its state. Here each trial that
has a whole checkpoint is found, and nothing that damage spares is lost.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME
from ray.tune import CheckpointConfig
from ray.tune.experiment import Trial
from ray.tune.result import DONE, TIME_TOTAL_S, TRAINING_ITERATION

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.checkpoints.folder import (
    CONTENTS_FILE,
    CheckpointError,
    saved_progress,
)
from rllib_ptm.checkpoints.saved_policy import CONFIG_FILE, check_algorithm, saved_settings
from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.search.algorithms import RANDOM
from rllib_ptm.cli.read.search.sample_seeds import SEED
from rllib_ptm.cli.read.search.schedulers import FifoSettings, PbtSettings, SchedulerSettings
from rllib_ptm.cli.read.search.spaces import grid_size, searched_keys
from rllib_ptm.cli.resume.run_folder import (
    CHANGEABLE_CONFIG,
    config_differences,
    setting_differences,
)
from rllib_ptm.cli.resume.stop_conditions import stop_conditions
from rllib_ptm.ray_private.tune import (
    set_checkpoint_config,
    set_checkpoints,
    trial_storage,
    tune_state,
)
from rllib_ptm.results.flat import flatten
from rllib_ptm.results.trial_files import broken_rows_text, stored_results

STATE_FILES = "experiment_state-*.json"  # Tune's name
_CHECKPOINT = re.compile(r"checkpoint_[0-9]+")
_PROGRESS = (TRAINING_ITERATION, NUM_ENV_STEPS_SAMPLED_LIFETIME)
_TRIAL_FOLDER = re.compile(
    r".*?(?P<id>(?P<run>[0-9a-f]{5})_(?P<number>\d{5}))_(?P<tag>.*)_\d{4}(-\d\d){2}_\d\d(-\d\d){2}"
)


@dataclass
class SavedTrial:
    """A trial of an earlier run.

    Attributes:
        trial: Tune's object.
        folder: Its folder.
        checkpoint: The newest whole checkpoint; None = it starts again.
        result: The result of that checkpoint's iteration.
    """

    trial: Trial
    folder: Path
    checkpoint: Path | None
    result: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return bool(self.trial.status == Trial.TERMINATED)

    @property
    def reached(self) -> str:
        """How far it is, in words."""
        iteration = self.result.get(TRAINING_ITERATION, "unknown")
        steps = self.result.get(NUM_ENV_STEPS_SAMPLED_LIFETIME)
        return f"iteration {iteration}" + ("" if steps is None else f" ({steps:,.0f} env steps)")


def read_trials(
    experiment: Experiment, folder: Path, stop_before: Mapping[str, float] | None
) -> tuple[list[SavedTrial], list[str]]:
    """The trials of a run, ready to go on with the experiment's settings.

    Args:
        experiment: What to train.
        folder: The run's folder.
        stop_before: The stop conditions of the earlier run; None = unknown.

    Returns:
        The trials, and a line for each thing that cannot be used.
    """
    trials, notes = _trials_of_states(folder)
    known = {trial.relative_logdir for trial in trials}
    number_of_trials = _number_of_trials(experiment)
    for trial_folder in _trial_folders(folder, {trial.trial_id[:5] for trial in trials}):
        if trial_folder.name not in known:
            trial = _trial_of_folder(experiment, trial_folder, stop_before)
            if trial is None:
                notes.append(f"{trial_folder}: its settings cannot be read; it stays as it is")
            elif int(trial.trial_id[-5:]) >= number_of_trials:
                notes.append(f"{trial_folder}: the experiment has no such trial; it stays as it is")
            else:
                trials.append(trial)
    saved = []
    for trial in sorted(trials, key=lambda trial: trial.trial_id):
        one, more = _saved(experiment, trial, folder / str(trial.relative_logdir))
        saved.append(one)
        notes += more
    return saved, notes


def free_keys(experiment: Experiment) -> frozenset[str]:
    """The keys of a config in which the trials of an experiment may differ."""
    seeds = () if experiment.search_alg == RANDOM else (SEED,)  # else they are a grid
    return frozenset((*searched_keys(experiment.samples()[0]), *seeds)) | perturbed_keys(experiment)


def perturbed_keys(experiment: Experiment) -> frozenset[str]:
    """The keys of a config that change while a trial trains."""
    settings = experiment.scheduler_settings
    return frozenset(settings.mutated() if isinstance(settings, PbtSettings) else ())


def _number_of_trials(experiment: Experiment) -> int:
    config, num_samples = experiment.samples()
    return num_samples * grid_size(config)


def _trials_of_states(folder: Path) -> tuple[list[Trial], list[str]]:
    """The trials of the newest state that can be read, and what is wrong with newer ones."""
    notes: list[str] = []
    for file in sorted(folder.glob(STATE_FILES), reverse=True):
        try:
            trials = []
            for trial_state, metadata in tune_state(file.read_text(encoding="utf-8"))["trial_data"]:
                trial = Trial.from_json_state(trial_state, stub=True)
                trial.restore_run_metadata(metadata)
                trials.append(trial)
            return trials, notes
        except Exception as error:  # damaged pickles raise anything
            why = "it is empty" if not file.stat().st_size else " ".join(str(error).split())
            notes.append(f"{file} cannot be read ({why}): the trials' folders are used instead")
    return [], notes


def _trial_folders(folder: Path, runs: set[str]) -> Iterator[Path]:
    """The folders of a run's trials. An older version mixed runs in a folder: the newest's."""
    found = [(match, path) for path in folder.iterdir() if (match := _match(path))]
    if not runs and found:
        runs = {max(found, key=lambda pair: pair[1].stat().st_mtime)[0]["run"]}
    for match, path in sorted(found, key=lambda pair: pair[0]["number"]):
        if match["run"] in runs:
            yield path


def _match(path: Path) -> re.Match[str] | None:
    return _TRIAL_FOLDER.fullmatch(path.name) if path.is_dir() else None


def _trial_of_folder(
    experiment: Experiment, folder: Path, stop_before: Mapping[str, float] | None
) -> Trial | None:
    """A trial that no state names; None if its settings are unknown."""
    match = _match(folder)
    rows, _ = stored_results(folder)
    config = _trained_config(experiment, folder, rows)
    if match is None or config is None:
        return None
    flat = flatten(config)
    trial = Trial(
        experiment.algorithm,
        config=config,
        trial_id=match["id"],
        storage=trial_storage(folder),
        evaluated_params={key: flat.get(key) for key in free_keys(experiment)},
        experiment_tag=match["tag"],
        stopping_criterion=stop_conditions(experiment, stop_before),
        checkpoint_config=CheckpointConfig(**experiment.checkpoint.model_dump()),
        stub=True,
    )
    trial.relative_logdir = folder.name
    trial.create_placement_group_factory()
    if rows:
        trial.run_metadata.last_result = rows[-1]
        trial.set_status(Trial.TERMINATED if rows[-1].get(DONE) else Trial.PENDING)
    return trial


def _trained_config(
    experiment: Experiment, folder: Path, rows: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """The settings of a trial by its own files, or by the experiment if that searches nothing."""
    try:
        config = json.loads((folder / "params.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    if isinstance(config, dict):
        return config
    flat = flatten(rows[-1].get("config", {})) if rows else {}
    keys = free_keys(experiment)
    if not keys <= flat.keys():
        return None
    filled = copy.deepcopy(experiment.config)
    for key in keys:
        *parents, last = key.split("/")
        place = filled
        for parent in parents:
            place = place[parent]
        place[last] = flat[key]
    return filled


def _saved(experiment: Experiment, trial: Trial, folder: Path) -> tuple[SavedTrial, list[str]]:
    """Finds the checkpoint that a trial goes on from, and gives it the experiment's settings."""
    config = CheckpointConfig(**experiment.checkpoint.model_dump())
    rows, _ = stored_results(folder)
    checkpoint, older, notes = _whole_checkpoint(folder, _Written(experiment, trial, rows))
    if broken := broken_rows_text(folder):
        notes.append(broken)
    manager = trial.run_metadata.checkpoint_manager
    latest, score = manager.latest_checkpoint_result, config.checkpoint_score_attribute
    if checkpoint is None:
        set_checkpoints(trial, [], config)
        result: dict[str, Any] = {}
    elif (
        latest is not None
        and _is_result_of(checkpoint, latest)
        and manager.checkpoint_config.checkpoint_score_attribute == score  # the only one kept
    ):
        set_checkpoint_config(trial, config)
        result = latest.metrics
    else:
        saved = [(path, _result_of(path, rows)) for path in (*older, checkpoint)]
        set_checkpoints(trial, saved, config)
        result = saved[-1][1]
    stop = stop_conditions(experiment)
    _set_status(trial, stop, result, experiment.scheduler_settings)
    trial.stopping_criterion = stop
    trial.max_failures = experiment.max_failures
    trial.set_config(_with_resources(trial.config, experiment.config))
    trial.storage.current_checkpoint_index = _last_index(folder)
    trial.invalidate_json_state()
    return SavedTrial(trial, folder, checkpoint, result), notes


class _Written:
    """Tells the checkpoints that a trial has written from those that were put beside them.

    Args:
        experiment: What was trained.
        trial: The trial.
        rows: Its results.
    """

    def __init__(self, experiment: Experiment, trial: Trial, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        self._settings: dict[str, Any] = {}
        self._may_differ = {*CHANGEABLE_CONFIG, *perturbed_keys(experiment), "warm_start"}
        if not config_differences(experiment, trial.config, free_keys(experiment)):  # else refused
            self._settings = saved_settings(PTMConfig().update_from_dict(trial.config))

    def check(self, checkpoint: Path) -> None:
        """Checks a checkpoint.

        Raises:
            CheckpointError: It is damaged, or another training has written it.
        """
        content = check_algorithm(checkpoint, read=(CONFIG_FILE,))
        if self._settings:
            found = json.loads(content[CONFIG_FILE])
            if differ := setting_differences(found, self._settings, self._may_differ):
                raise CheckpointError(f"{checkpoint}: it is of another run: {'; '.join(differ)}")
        progress = saved_progress(checkpoint)
        iteration, steps = (progress.get(key) for key in _PROGRESS)
        played = [
            row.get(NUM_ENV_STEPS_SAMPLED_LIFETIME)
            for row in self._rows
            if row.get(TRAINING_ITERATION) == iteration
        ]
        if played and not {steps, None} & set(played):  # a resumed iteration has two results
            raise CheckpointError(
                f"{checkpoint}: it is of another run: iteration {iteration} ended there after "
                f"{steps:,} env steps, here after {played[-1]:,}"
            )


def _whole_checkpoint(folder: Path, written: _Written) -> tuple[Path | None, list[Path], list[str]]:
    """The newest whole checkpoint of a trial, older ones, and what is wrong with newer ones."""
    notes = []
    found = sorted(filter(_is_numbered, folder.glob("checkpoint_*")), key=_number)
    while found:
        newest = found.pop()
        try:
            written.check(newest)
        except CheckpointError as error:
            notes.append(f"{error}; it is not used")
            continue
        return newest, [path for path in found if (path / CONTENTS_FILE).is_file()], notes
    if not folder.is_dir():
        notes.append(f"{folder}: the trial's folder is missing")
    return None, [], notes


def _is_result_of(checkpoint: Path, latest: Any) -> bool:
    """Whether Tune's newest result is that of a checkpoint, also if the run's folder was moved."""
    iteration = saved_progress(checkpoint).get(TRAINING_ITERATION)
    return (
        Path(latest.checkpoint.path).parts[-2:] == checkpoint.parts[-2:]
        and latest.metrics.get(TRAINING_ITERATION) == iteration
    )


def _result_of(checkpoint: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The result of a checkpoint's iteration; what the checkpoint itself says if that is lost."""
    progress = saved_progress(checkpoint)
    iteration = progress.get(TRAINING_ITERATION)
    if iteration is None:
        return {}
    before = [row for row in rows if row.get(TRAINING_ITERATION, iteration + 1) <= iteration]
    if before and before[-1][TRAINING_ITERATION] == iteration:
        # Tune finds the scores of checkpoints by their flat names.
        return before[-1] | flatten({k: v for k, v in before[-1].items() if k != "config"})
    return {TIME_TOTAL_S: before[-1].get(TIME_TOTAL_S, 0.0) if before else 0.0, **progress}


def _set_status(
    trial: Trial,
    stop: Mapping[str, float],
    result: Mapping[str, Any],
    scheduler: SchedulerSettings,
) -> None:
    """Decides whether a trial goes on.

    It has finished if its checkpoint meets the stop conditions, or if a scheduler ended it there.
    """
    at_its_end = result.get(TRAINING_ITERATION) == trial.run_metadata.last_result.get(
        TRAINING_ITERATION
    )
    by_scheduler = (
        not isinstance(scheduler, FifoSettings)
        and trial.status == Trial.TERMINATED
        and at_its_end
        and not _is_met(trial.stopping_criterion, result)
    )
    finished = bool(result) and (_is_met(stop, result) or by_scheduler)
    if finished or trial.status != Trial.ERROR:
        trial.set_status(Trial.TERMINATED if finished else Trial.PENDING)


def _is_met(stop: Mapping[str, float], result: Mapping[str, Any]) -> bool:
    flat = flatten(result)
    return any(key in flat and flat[key] >= value for key, value in stop.items())


def _with_resources(config: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's config with the keys that a resumed run may change as they are now.

    The files hold only the names of classes and other objects. Those come from ``chosen``, too.
    """
    objects = [key for key, value in chosen.items() if not _is_json(value)]
    searched = {key.split("/")[0] for key in searched_keys(chosen)}
    now = [key for key in (*CHANGEABLE_CONFIG, *objects) if key not in searched]
    kept = {key: value for key, value in config.items() if key not in now}
    return kept | {key: chosen[key] for key in now if key in chosen}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def _last_index(folder: Path) -> int:
    """The largest number of a checkpoint, so that no folder is written a second time."""
    return max(map(_number, filter(_is_numbered, folder.glob("checkpoint_*"))), default=-1)


def _is_numbered(path: Path) -> bool:
    """Whether a folder is named as Tune names checkpoints; a user may have kept others."""
    return _CHECKPOINT.fullmatch(path.name) is not None


def _number(path: Path) -> int:
    return int(path.name.rpartition("_")[2])
