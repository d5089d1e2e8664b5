"""``rllib train``: runs experiments through Ray Tune, shows progress, and reports the results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.options import TrainOptions
from rllib_ptm.cli.read.rllib_check import check_warm_start, check_with_rllib
from rllib_ptm.cli.run.cluster import (
    import_ray,
    machine_cores,
    main_process_cores,
    needed_resources,
    ray_cluster,
)
from rllib_ptm.cli.run.exit_codes import EXIT_FAILED, sigterm_as_exception
from rllib_ptm.cli.show.trial_report import report_interrupted, report_trial
from rllib_ptm.cli.show.trial_table import best_first, trial_table, trials_compete
from rllib_ptm.envs.errors import InputError

if TYPE_CHECKING:
    from ray.tune import ResultGrid


def train(experiments: Sequence[Experiment], options: TrainOptions) -> int:
    """Trains the experiments one after the other, and plays the trained policies.

    Args:
        experiments: What to train, already checked as far as possible without Ray.
        options: The options of the command.

    Returns:
        The exit code: 0, 1 if a trial failed, 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        InputError: Something cannot be used; then nothing has been started.
    """
    console = Console()
    storage = _storage_folder(options.storage_path)
    import_ray(options.verbose, joins_cluster=options.ray_address is not None)
    with console.status("Checking the experiment"):
        for experiment in experiments:
            check_with_rllib(experiment)
        cores = options.ray_num_cpus or machine_cores()
        experiments = [_with_cores(experiment, cores) for experiment in experiments]
        if options.resume:
            _check_resumable(experiments, storage)
        warm_starts = [line for e in experiments for line in _warm_starts(e, storage, options)]
    for line in warm_starts:
        console.print(line, highlight=False, soft_wrap=True)
    finished, stopped = _train_all(experiments, storage, options, console)
    codes = [0]
    for experiment, grid in finished:
        results = best_first(experiment, [grid[index] for index in range(len(grid))])
        if len(results) > 1:
            console.print(trial_table(experiment, results))
        for number, result in enumerate(results):
            if stopped:
                report_interrupted(experiment, result, console)
                codes.append(stopped)
            elif number == 0 or result.error is not None or not trials_compete(experiment):
                trained = report_trial(experiment, result, options.evaluation_episodes, console)
                codes.append(0 if trained else EXIT_FAILED)
    return max(codes)


def _train_all(
    experiments: Sequence[Experiment], storage: Path, options: TrainOptions, console: Console
) -> tuple[list[tuple[Experiment, ResultGrid]], int]:
    """Returns the results of each experiment that was begun, and the exit code of a signal."""
    from rllib_ptm import register
    from rllib_ptm.cli.run.interrupt import INTERRUPTED
    from rllib_ptm.cli.run.tune_run import fit, has_run, resume

    needed = needed_resources([variant for e in experiments for variant in e.variants()])
    cores = options.ray_num_cpus or machine_cores()
    trials = max(experiment.max_concurrent_trials or 1 for experiment in experiments)
    finished = []
    with ray_cluster(options, needed, cores, trials), sigterm_as_exception():  # Ray sets its own
        register()
        for experiment in experiments:
            _announce(experiment, storage, console)
            if options.resume and has_run(experiment, storage):
                grid = resume(experiment, storage)
            else:
                grid = fit(experiment, storage, plain=options.verbose > 0)
            finished.append((experiment, grid))
            if INTERRUPTED.is_set():
                break
        return finished, INTERRUPTED.exit_code


def _check_resumable(experiments: Sequence[Experiment], storage: Path) -> None:
    from rllib_ptm.cli.run.tune_run import check_unchanged, has_run

    begun = [experiment for experiment in experiments if has_run(experiment, storage)]
    if not begun:
        names = ", ".join(experiment.name for experiment in experiments)
        raise InputError(f"--resume: there is no run of {names} in {storage}")
    for experiment in begun:
        check_unchanged(experiment, storage)


def _warm_starts(experiment: Experiment, storage: Path, options: TrainOptions) -> list[str]:
    """What a new run takes from other checkpoints; one that resumes takes nothing again."""
    from rllib_ptm.cli.run.tune_run import has_run

    resumes = options.resume and has_run(experiment, storage)
    return [] if resumes else check_warm_start(experiment)


def _announce(experiment: Experiment, storage: Path, console: Console) -> None:
    until = " or ".join(f"{key} {value:,g}" for key, value in experiment.stop.items())
    console.print(
        f"[bold]{experiment.name}[/bold]: {experiment.algorithm} on {', '.join(experiment.tasks)}, "
        f"until {until}; results in {storage / experiment.name}",
        highlight=False,
        soft_wrap=True,
    )


def _with_cores(experiment: Experiment, cores: int) -> Experiment:
    """The experiment, with the main process's share of the cores if it does not set that."""
    key = "num_cpus_for_main_process"
    if key in experiment.config:
        return experiment
    trials = experiment.max_concurrent_trials or 1
    share = main_process_cores(list(experiment.variants()), cores, trials)
    return replace(experiment, config={**experiment.config, key: share})


def _storage_folder(path: str) -> Path:
    """Returns the folder as an absolute path, and creates it if it is missing.

    Raises:
        InputError: It is not a folder of this machine that can be written to.
    """
    if "://" in path:
        raise InputError(f"--storage-path: expected a folder of this machine, found {path!r}")
    folder = Path(path).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--storage-path: {path!r} cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"--storage-path: {path!r} cannot be written to")
    return folder
