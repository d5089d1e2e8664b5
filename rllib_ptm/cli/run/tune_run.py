"""Runs experiments with Ray Tune."""

from __future__ import annotations

import warnings
from pathlib import Path

from ray.tune import (
    Callback,
    CheckpointConfig,
    FailureConfig,
    ResultGrid,
    RunConfig,
    TuneConfig,
    Tuner,
)

from rllib_ptm.cli.log.files import ProgressCsv, ResultJson
from rllib_ptm.cli.log.services import service_callbacks
from rllib_ptm.cli.log.tensorboard import TensorBoard
from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.rllib_check import reported_metrics
from rllib_ptm.cli.read.search.spaces import tune_space
from rllib_ptm.cli.resume.resume import OnlyRestored, Resumable, make_search, write_states
from rllib_ptm.cli.resume.run_folder import write_record
from rllib_ptm.cli.resume.stop_conditions import stop_conditions
from rllib_ptm.cli.run.interrupt import InterruptCallback, signals_of_a_run
from rllib_ptm.cli.run.kept_checkpoints import ShortenOlderResults
from rllib_ptm.cli.run.live_display import LiveDisplay
from rllib_ptm.cli.run.schedulers import make_scheduler
from rllib_ptm.cli.run.storage_faults import WatchStorage


def fit(experiment: Experiment, folder: Path, *, plain: bool) -> ResultGrid:
    """Trains all trials of an experiment from the start.

    Args:
        experiment: What to train.
        folder: The run's folder, which is empty.
        plain: Print lines in place of the live table.
    """
    folder.mkdir(exist_ok=True)
    write_record(experiment, folder)
    return _run(_tuner(experiment, folder, plain))


def resume(run: Resumable, *, plain: bool) -> ResultGrid:
    """Continues a run's trials from their last whole checkpoints.

    Args:
        run: The run, as ``check_resumable`` found it.
        plain: Print lines in place of the live table.

    Raises:
        InputError: Tune cannot restore a trial; then nothing is trained.
    """
    write_states(run)
    experiment = run.experiment
    guard = OnlyRestored([one.trial.trial_id for one in run.trials])
    _tuner(
        experiment, run.folder, plain, guard, run=run
    )  # writes the settings that restore() reads
    restored = Tuner.restore(
        str(run.folder),
        trainable=experiment.algorithm,
        param_space=tune_space(experiment.samples()[0]),
        resume_errored=True,
    )
    return _run(restored)


def _tuner(
    experiment: Experiment,
    folder: Path,
    plain: bool,
    *more: Callback,
    run: Resumable | None = None,
) -> Tuner:
    config, num_samples = experiment.samples()
    search = make_search(experiment, run)
    return Tuner(
        experiment.algorithm,
        param_space=tune_space(config),
        tune_config=TuneConfig(
            num_samples=num_samples,
            search_alg=search,
            # Tune counts the trials of its own search only.
            max_concurrent_trials=None if search else experiment.max_concurrent_trials,
            scheduler=make_scheduler(experiment.scheduler_settings),
        ),
        run_config=RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            stop=stop_conditions(experiment),
            checkpoint_config=CheckpointConfig(**experiment.checkpoint.model_dump()),
            failure_config=FailureConfig(max_failures=experiment.max_failures),
            callbacks=[*callbacks_of_a_run(experiment, folder, plain), *more],
            verbose=0,
        ),
    )


def callbacks_of_a_run(experiment: Experiment, folder: Path, plain: bool) -> list[Callback]:
    """What Tune calls while it trains an experiment.

    Args:
        experiment: What to train.
        folder: The run's folder.
        plain: Print lines in place of the live table.
    """
    metrics = reported_metrics(experiment)
    return [
        LiveDisplay(experiment.name, experiment.stop, plain),
        InterruptCallback(),
        WatchStorage(folder),
        ResultJson(),
        ProgressCsv(metrics),
        TensorBoard(metrics),
        *service_callbacks(experiment.loggers, experiment.name, folder),
        ShortenOlderResults(experiment.checkpoint.checkpoint_score_attribute),
    ]


def _run(tuner: Tuner) -> ResultGrid:
    with warnings.catch_warnings(), signals_of_a_run():
        # Tune advises to reuse its actors, which RLlib's Algorithm does not support.
        warnings.filterwarnings("ignore", "Consider boosting PBT performance", UserWarning)
        return tuner.fit()
