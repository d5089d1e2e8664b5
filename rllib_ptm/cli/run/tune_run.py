"""Runs experiments with Ray Tune."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import asdict
from pathlib import Path

from ray.tune import CheckpointConfig, FailureConfig, ResultGrid, RunConfig, TuneConfig, Tuner

from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.rllib_check import reported_metrics
from rllib_ptm.cli.read.scheduler_settings import AshaSettings
from rllib_ptm.cli.read.search_space import tune_space
from rllib_ptm.cli.run.interrupt import InterruptCallback, signals_of_a_run
from rllib_ptm.cli.run.live_display import LiveDisplay
from rllib_ptm.cli.run.loggers import ProgressCsv, ResultJson, TensorBoard
from rllib_ptm.cli.run.schedulers import make_scheduler
from rllib_ptm.envs.errors import InputError

_RECORD_FILE = "experiment.json"


def fit(experiment: Experiment, storage: Path, *, plain: bool) -> ResultGrid:
    """Trains all trials of an experiment from the start.

    Args:
        experiment: What to train.
        storage: The folder that holds a folder per experiment.
        plain: Print lines in place of the live table.
    """
    folder = storage / experiment.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _RECORD_FILE).write_text(_record(experiment))
    config, num_samples = experiment.samples()
    tuner = Tuner(
        experiment.algorithm,
        param_space=tune_space(config),
        tune_config=TuneConfig(
            num_samples=num_samples,
            max_concurrent_trials=experiment.max_concurrent_trials,
            scheduler=make_scheduler(experiment.scheduler_settings),
        ),
        run_config=RunConfig(
            name=experiment.name,
            storage_path=str(storage),
            stop=stop_conditions(experiment),
            checkpoint_config=CheckpointConfig(**experiment.checkpoint.model_dump()),
            failure_config=FailureConfig(max_failures=experiment.max_failures),
            callbacks=[
                LiveDisplay(experiment.name, experiment.stop, plain),
                InterruptCallback(),
                ResultJson(),
                ProgressCsv(reported_metrics(experiment)),
                TensorBoard(),
            ],
            verbose=0,
        ),
    )
    with warnings.catch_warnings(), signals_of_a_run():
        # Tune advises to reuse its actors, which RLlib's Algorithm does not support.
        warnings.filterwarnings("ignore", "Consider boosting PBT performance", UserWarning)
        return tuner.fit()


def resume(experiment: Experiment, storage: Path) -> ResultGrid:
    """Continues an experiment's interrupted and failed trials from their last checkpoints."""
    path = str(storage / experiment.name)
    with signals_of_a_run():
        return Tuner.restore(path, trainable=experiment.algorithm, resume_errored=True).fit()


def stop_conditions(experiment: Experiment) -> dict[str, float]:
    """The stop conditions, the end of successive halving among them.

    Tune's scheduler ends a trial only in an iteration that reports the metric.
    """
    settings, stop = experiment.scheduler_settings, dict(experiment.stop)
    if isinstance(settings, AshaSettings):
        stop[settings.time_attr] = min(stop.get(settings.time_attr, math.inf), settings.max_t)
    return stop


def has_run(experiment: Experiment, storage: Path) -> bool:
    """Whether an experiment of that name was begun there."""
    folder = storage / experiment.name
    return Tuner.can_restore(str(folder)) and (folder / _RECORD_FILE).is_file()


def check_unchanged(experiment: Experiment, storage: Path) -> None:
    """Checks that the experiment is the one that was begun.

    Raises:
        InputError: It has changed. Tune would silently continue with the old settings.
    """
    before = json.loads((storage / experiment.name / _RECORD_FILE).read_text())
    now = json.loads(_record(experiment))
    keys = [key for key in now if before.get(key) != now[key]]
    changed = [f"{key} was {before.get(key)}, is {now[key]}" for key in keys]
    if changed:
        raise InputError(f"--resume: the experiment is not the one begun: {'; '.join(changed)}")


def _record(experiment: Experiment) -> str:
    settings = asdict(experiment)
    del settings["source"]
    return json.dumps(settings, indent=2, default=lambda keys: keys.model_dump()) + "\n"
