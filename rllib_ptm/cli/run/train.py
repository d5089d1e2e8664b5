"""``rllib train``: runs experiments through Ray Tune, shows progress, and reports the results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from rllib_ptm.checks.errors import InputError, located
from rllib_ptm.checks.writable import make_folder
from rllib_ptm.cli.options.declared import TrainOptions
from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.rllib_check import check_warm_start, check_with_rllib
from rllib_ptm.cli.read.text import check_path
from rllib_ptm.cli.run.cluster import (
    RayStartError,
    import_ray,
    machine_cores,
    main_process_cores,
    needed_resources,
    ray_cluster,
)
from rllib_ptm.cli.run.exit_codes import EXIT_FAILED, sigterm_as_exception
from rllib_ptm.cli.show.messages import some_of, working
from rllib_ptm.cli.show.trial_names import trial_name
from rllib_ptm.cli.show.trial_report import report_interrupted, report_trial
from rllib_ptm.cli.show.trial_table import best_first, trial_table, trials_compete
from rllib_ptm.ray_private.registry import kept_registrations

if TYPE_CHECKING:
    from ray.tune import ResultGrid

    from rllib_ptm.cli.resume.resume import Resumable


def train(experiments: Sequence[Experiment], options: TrainOptions) -> int:
    """Trains the experiments one after the other, and plays the trained policies.

    Args:
        experiments: What to train, already checked as far as possible without Ray.
        options: The options of the command.

    Returns:
        The exit code: 0, 1 if a trial failed or Ray does not start, 130 after Ctrl-C, 143 after
            SIGTERM.

    Raises:
        InputError: Something cannot be used; then nothing has been started.
    """
    console = Console()
    storage = _storage_folder(options.storage_path)
    import_ray(options.verbose, joins_cluster=options.ray_address is not None)
    from rllib_ptm.cli.log.services import check_loggers
    from rllib_ptm.cli.resume.run_lock import alone_in
    from rllib_ptm.cli.run.storage_faults import StorageFaultError

    with working(console, "Checking the experiment"):
        for experiment in experiments:
            check_with_rllib(experiment)
            with located(f"{experiment.source}: {experiment.name}: "):
                check_loggers(experiment.loggers, experiment.name)
        cores = options.ray_num_cpus or machine_cores()
        experiments = [_with_cores(experiment, cores) for experiment in experiments]
        runs = _runs(experiments, storage, options)
        # A run that resumes has taken what it takes from another checkpoint.
        begun = [run.experiment for run in runs if run.left is None]
        warm_starts = [line for experiment in begun for line in check_warm_start(experiment)]
    for line in warm_starts:
        console.print(line, highlight=False, soft_wrap=True)
    finished: list[tuple[Experiment, ResultGrid]] = []
    try:
        with ExitStack() as held:
            for run in runs:
                held.enter_context(alone_in(run.folder))
            stopped = _train_all(runs, options, console, finished)
        with sigterm_as_exception():  # Ray has set its own handler
            return max([0, *_report_all(finished, stopped, options, console)])
    except (RayStartError, StorageFaultError) as error:
        _print_error(str(error))
        return EXIT_FAILED


def _train_all(
    runs: Sequence[Run],
    options: TrainOptions,
    console: Console,
    finished: list[tuple[Experiment, ResultGrid]],
) -> int:
    """Adds the results of each experiment to ``finished``; returns the exit code of a signal."""
    from rllib_ptm import register
    from rllib_ptm.cli.run.interrupt import INTERRUPTED, ends_with_ray
    from rllib_ptm.cli.run.storage_faults import explained
    from rllib_ptm.cli.run.tune_run import fit, resume

    experiments = [run.experiment for run in runs]
    needed = needed_resources([variant for e in experiments for variant in e.variants()])
    cores = options.ray_num_cpus or machine_cores()
    trials = max(experiment.max_concurrent_trials or 1 for experiment in experiments)
    plain = options.verbose > 0
    with (
        kept_registrations(),  # the trained policies are played after the cluster's end
        ray_cluster(options, needed, cores, trials),
        sigterm_as_exception(),  # Ray sets its own
    ):
        register()
        for run in runs:
            _announce(run, console)
            with (
                explained(run.experiment.name, run.folder),
                ends_with_ray(run.experiment.name, run.folder),
            ):
                if run.left is not None:
                    grid = resume(run.left, plain=plain)
                else:
                    grid = fit(run.experiment, run.folder, plain=plain)
            finished.append((run.experiment, grid))
            if INTERRUPTED.is_set():
                break
        return INTERRUPTED.exit_code


def _report_all(
    finished: Sequence[tuple[Experiment, ResultGrid]],
    stopped: int,
    options: TrainOptions,
    console: Console,
) -> Iterator[int]:
    """Reports each trial; yields the exit code of each report."""
    from rllib_ptm.cli.run.storage_faults import explained, left_after_failure

    for experiment, grid in finished:
        results = best_first(experiment, [grid[index] for index in range(len(grid))])
        if len(results) > 1:
            console.print(trial_table(experiment, results))
        if stopped:
            report_interrupted(experiment, results, console)
            yield stopped
            continue
        for number, result in enumerate(results):
            if number == 0 or result.error is not None or not trials_compete(experiment):
                folder = Path(result.path).parent
                named = replace(experiment, name=trial_name(experiment.name, result, len(results)))
                with explained(experiment.name, folder):
                    episodes = options.evaluation_episodes
                    trained = report_trial(named, result, episodes, console)
                if not trained and (left := left_after_failure(folder)):
                    _print_error(f"{experiment.name}: {left}")
                yield 0 if trained else EXIT_FAILED


@dataclass(frozen=True)
class Run:
    """An experiment, its folder, and what an earlier run has left there."""

    experiment: Experiment
    folder: Path
    left: Resumable | None = None


def _runs(experiments: Sequence[Experiment], storage: Path, options: TrainOptions) -> list[Run]:
    """Chooses the folder of each experiment: a new one, or that of the run to resume.

    Raises:
        InputError: There is no run to resume, or a folder cannot be made.
    """
    if options.run_folder is not None and len(experiments) > 1:
        raise InputError("--run-folder: the file holds several experiments, which need one each")
    if options.run_folder is not None and not _is_folder_name(options.run_folder):
        raise InputError(
            f"--run-folder: expected the name of a folder in --storage-path, without '/', found "
            f"{options.run_folder!r:.100}"
        )
    if not options.resume:
        return [
            Run(experiment, _new_folder(experiment, storage, options.run_folder))
            for experiment in experiments
        ]
    left = [_left(experiment, storage, options.run_folder) for experiment in experiments]
    problems = [problem for problem in left if isinstance(problem, InputError)]
    if len(problems) == len(left):
        raise InputError(*(line for problem in problems for line in problem.lines))
    return [
        Run(experiment, _new_folder(experiment, storage, None))
        if isinstance(one, InputError)
        else Run(experiment, one.folder, one)
        for experiment, one in zip(experiments, left, strict=True)
    ]


def _is_folder_name(name: str) -> bool:
    return name not in ("", "..") and Path(name).name == name


def _left(experiment: Experiment, storage: Path, chosen: str | None) -> Resumable | InputError:
    """What an earlier run has left; or an error that says that there is nothing.

    Raises:
        InputError: The run cannot go on as the experiment says.
    """
    from rllib_ptm.cli.resume.resume import NothingLeftError, check_resumable
    from rllib_ptm.cli.resume.run_folder import newest_run_folder

    folder = storage / chosen if chosen else newest_run_folder(storage, experiment.name)
    if folder is None or not folder.is_dir():
        name = chosen or experiment.name
        return InputError(f"--resume: there is no run of {name} in {storage}")
    try:
        return check_resumable(experiment, folder)
    except NothingLeftError as error:
        return error


def _new_folder(experiment: Experiment, storage: Path, chosen: str | None) -> Path:
    from rllib_ptm.cli.resume.run_folder import new_run_folder

    try:
        folder = new_run_folder(storage, chosen or experiment.name)
    except OSError as error:
        raise InputError(f"--storage-path: {error.filename}: {error.strerror}") from None
    if chosen is not None and folder.name != chosen:
        folder.rmdir()
        raise InputError(f"--run-folder: {storage / chosen} holds a run; see --resume")
    return folder


def _announce(run: Run, console: Console) -> None:
    experiment = run.experiment
    until = " or ".join(f"{key} {value:,g}" for key, value in experiment.stop.items())
    lines = [
        f"[bold]{experiment.name}[/bold]: {experiment.algorithm} on {some_of(experiment.tasks)}, "
        f"until {until}; results in {run.folder}"
    ]
    if run.left is not None:
        lines += [f"{experiment.name}: {escape(line)}" for line in run.left.notes]
        lines += [f"{experiment.name}: {escape(line)}" for line in run.left.lines()]
    elif run.folder.name != experiment.name:
        lines.append(
            f"{experiment.name}: {run.folder.parent / experiment.name} holds an earlier run, which "
            f"stays; --resume --run-folder {experiment.name} would continue that one"
        )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _print_error(line: str) -> None:
    print(f"rllib: {' '.join(line.split())}", file=sys.stderr)


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
    check_path("--storage-path", str(folder))
    with located("--storage-path: "):
        make_folder(folder)
    return folder
