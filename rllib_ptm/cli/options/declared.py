"""The options of the commands: names, limits and help texts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Exit, Option

import rllib_ptm
from rllib_ptm import pretrained
from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.read.examples import examples
from rllib_ptm.cli.read.limits import (
    MOST_CORES,
    MOST_EPISODES,
    MOST_RENDERED,
    MOST_SNAPSHOTS,
    MOST_TRIALS,
)
from rllib_ptm.cli.read.logger_settings import WANDB
from rllib_ptm.cli.read.text import read_json_object

BY_TASK, BY_COMPOSITION = "task", "composition"

_TrialOption = partial(Option, rich_help_panel="Trials")
_CheckpointOption = partial(Option, rich_help_panel="Checkpoints")
_LoggerOption = partial(Option, rich_help_panel="Loggers")
_ClusterOption = partial(Option, rich_help_panel="Ray cluster")

ExperimentFile = Annotated[
    Path,
    Argument(
        help="A YAML file {name: {run, env, stop, checkpoint_config, config}}, a Python file that "
        "defines config and stop, or an example: tuned_examples/NAME.yaml.",
        show_default=False,
    ),
]


def _complete_example(incomplete: str) -> list[str]:
    return [name for name in examples() if name.startswith(incomplete)]


def _complete_pretrained(incomplete: str) -> list[str]:
    return [name for name in pretrained.names() if name.startswith(incomplete)]


ExampleName = Annotated[
    str,
    Argument(help="See rllib example list.", show_default=False, autocompletion=_complete_example),
]
PretrainedName = Annotated[
    str,
    Argument(
        help="See rllib pretrained list.", show_default=False, autocompletion=_complete_pretrained
    ),
]
CheckpointFolders = Annotated[
    list[str],  # a Path would drop the "./" that tells a folder from a name
    Argument(
        metavar="CHECKPOINT...",
        help="A checkpoint's folder, or a pretrained policy (see rllib pretrained list). Several "
        "are compared with the first, on the same episodes.",
        show_default=False,
    ),
]
ResultsFolders = Annotated[
    list[Path],
    Argument(
        metavar="RESULTS...",
        help="Results folders of rllib train, single trials, or CSV files of --export.",
        show_default=False,
    ),
]

Algorithm = Annotated[str | None, Option("--algo", "--run", "-a", "-r", help="The algorithm: PTM.")]
Environment = Annotated[
    str | None,
    Option(
        "--env",
        "-e",
        help="The environment: multi_task_sc2, or a function that makes one, module:function.",
    ),
]
Config = Annotated[
    str, Option("--config", "-c", metavar="JSON", help="The algorithm's settings, as JSON.")
]
ExperimentName = Annotated[
    str, Option("--experiment-name", "-n", help="Also the name of its results folder.")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"rllib-ptm {rllib_ptm.__version__} (Ray {metadata.version('ray')})")
        raise Exit


ShowVersion = Annotated[
    bool,
    Option(
        "--version",
        help="Show the versions of this package and of Ray.",
        callback=_show_version,
        is_eager=True,  # before a command is asked for
    ),
]
AsJson = Annotated[bool, Option("--json", help="Print JSON.")]


@dataclass(frozen=True)
class TrainOptions:
    """The options of every command that trains. None leaves it to the experiment's file.

    Where a field's option has no name here, Typer forms it: ``num_samples`` is --num-samples.
    """

    stop: Annotated[
        str | None,
        Option(
            "--stop",
            "-s",
            metavar="JSON",
            help="Result keys and the values that end the run, as JSON: '{\"time_total_s\": 600}'.",
        ),
    ] = None
    evaluation_episodes: Annotated[
        int, Option(min=1, max=MOST_EPISODES, help="Greedy episodes of each task at the end.")
    ] = 100
    storage_path: Annotated[
        str, Option("--storage-path", "--local-dir", help="The folder for a folder per experiment.")
    ] = "./results"
    run_folder: Annotated[
        str | None,
        Option(
            help="The run's folder in --storage-path (default: the experiment's name, with a "
            "number if an earlier run has it; with --resume, the newest of these)."
        ),
    ] = None
    resume: Annotated[
        bool,
        Option(
            "--resume",
            help="Continue this experiment's newest run from its last checkpoint; with a larger "
            "--stop also beyond its end.",
        ),
    ] = False
    warm_start: Annotated[
        str | None,
        Option(
            metavar="CHECKPOINT",
            help="Begin with the weights of another run's checkpoint, or of a pretrained policy.",
        ),
    ] = None
    num_samples: Annotated[
        int | None,
        _TrialOption(
            min=1,
            max=MOST_TRIALS,
            help="How often each variant of the config is trained (default: once).",
        ),
    ] = None
    max_concurrent_trials: Annotated[
        int | None,
        _TrialOption(
            min=1, max=MOST_TRIALS, help="How many trials run at once (default: as many as fit)."
        ),
    ] = None
    max_failures: Annotated[
        int | None,
        _TrialOption(
            min=-1,
            help="How often a trial that fails resumes from its last checkpoint; -1: always.",
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        _TrialOption(help="What ends or changes trials early: fifo (nothing), asha or pbt."),
    ] = None
    scheduler_config: Annotated[
        str | None, _TrialOption(metavar="JSON", help="The scheduler's settings, as JSON.")
    ] = None
    search_alg: Annotated[
        str | None,
        _TrialOption(help="What draws the values of each trial: random (and grids) or optuna."),
    ] = None
    search_config: Annotated[
        str | None, _TrialOption(metavar="JSON", help="Its settings, as JSON.")
    ] = None
    checkpoint_freq: Annotated[
        int | None,
        _CheckpointOption(min=0, help="Iterations between checkpoints; 0: only at the end."),
    ] = None
    keep_checkpoints_num: Annotated[
        int | None, _CheckpointOption(min=1, help="How many checkpoints are kept (default: all).")
    ] = None
    checkpoint_score_attr: Annotated[
        str | None,
        _CheckpointOption(help="The result key that ranks checkpoints (default: the newest stay)."),
    ] = None
    logger: Annotated[
        str | None,
        _LoggerOption(metavar="NAME,...", help="Services that get the results: wandb, mlflow."),
    ] = None
    wandb_project: Annotated[
        str | None,
        _LoggerOption(help="The project of --logger wandb (default: the experiment's name)."),
    ] = None
    ray_address: Annotated[
        str | None,
        _ClusterOption(
            metavar="HOST:PORT", help="A running cluster; without it, one is started here."
        ),
    ] = None
    ray_num_cpus: Annotated[
        int | None,
        _ClusterOption(
            min=1, max=MOST_CORES, help="Cores for all trials together (default: this machine's)."
        ),
    ] = None
    ray_num_gpus: Annotated[
        int | None,
        _ClusterOption(
            min=0, max=MOST_CORES, help="GPUs of a cluster started here (default: this machine's)."
        ),
    ] = None
    verbose: Annotated[
        int, Option("-v", count=True, show_default=False, help="Show Ray's log; -vv: all of it.")
    ] = 0

    def stop_conditions(self) -> dict[str, Any] | None:
        """The stop conditions that replace those of a file.

        Raises:
            InputError: The value is not a JSON object.
        """
        return read_json_object("--stop", self.stop)

    def experiment_keys(self) -> dict[str, Any]:
        """The other keys of an experiment that replace those of a file.

        Raises:
            InputError: A value is not a JSON object.
        """
        score = self.checkpoint_score_attr
        checkpoint = {
            "checkpoint_frequency": self.checkpoint_freq,
            "num_to_keep": self.keep_checkpoints_num,
            # Ray's command wrote the order as a prefix.
            "checkpoint_score_attribute": score.removeprefix("min-") if score else score,
            "checkpoint_score_order": "min" if (score or "").startswith("min-") else None,
        }
        keys = {
            "warm_start": self.warm_start,
            "num_samples": self.num_samples,
            "max_concurrent_trials": self.max_concurrent_trials,
            "max_failures": self.max_failures,
            "scheduler": self.scheduler,
            "scheduler_config": read_json_object("--scheduler-config", self.scheduler_config),
            "search_alg": self.search_alg,
            "search_config": read_json_object("--search-config", self.search_config),
            "checkpoint_config": _given(checkpoint) or None,
            "loggers": self._loggers(),
        }
        return _given(keys)

    def _loggers(self) -> dict[str, dict[str, Any]] | None:
        """The loggers by name; None if no option names one."""
        names = [] if self.logger is None else [one.strip() for one in self.logger.split(",")]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"--logger: {name!r} stands twice")
        chosen: dict[str, dict[str, Any]] = {name: {} for name in names}
        if self.wandb_project is not None:
            if WANDB not in chosen:
                raise InputError(f"--wandb-project: it needs --logger {WANDB}")
            if not self.wandb_project:
                raise InputError("--wandb-project: expected a name, found ''")
            chosen[WANDB]["project"] = self.wandb_project
        return chosen or None


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of ``rllib evaluate``."""

    tasks: Annotated[
        str | None,
        Option(help="Task names, separated by commas, or a task set (default: the trained ones)."),
    ] = None
    episodes: Annotated[int, Option(min=1, max=MOST_EPISODES, help="Episodes of each task.")] = 100
    by: Annotated[
        str, Option(help="task; or composition: also a row for each one that a task has drawn.")
    ] = BY_TASK
    env: Annotated[
        str | None,
        Option(
            metavar="MODULE:FUNCTION",
            help="What makes the environment, if it is your own; or the Python file that "
            "registers it.",
        ),
    ] = None
    extensions: Annotated[
        str | None,
        Option(
            metavar="MODULE,...",
            help="Modules of your own that the policy was trained with; see the key extensions.",
        ),
    ] = None
    seed: Annotated[int, Option(min=0, help="Seed of the episodes.")] = 0
    backend: Annotated[
        str | None, Option(help="What simulates StarCraft battles (default: as in training).")
    ] = None
    out: Annotated[
        Path | None, Option(help="A .json or .csv file to which the result is written, too.")
    ] = None
    render: Annotated[
        Path | None,
        Option(
            help="A page that plays the first episodes of each task (.html), or a video of the "
            "first one (.gif, .mp4)."
        ),
    ] = None
    render_episodes: Annotated[
        int | None,
        Option(min=1, max=MOST_RENDERED, help="Episodes of each task in the page (default: 1)."),
    ] = None
    snapshots: Annotated[
        int | None,
        Option(
            min=2,
            max=MOST_SNAPSHOTS,
            help="So many moments of the task's first episode as a figure, a row for each "
            "checkpoint: --snapshots 6 --out FILE.png (.svg, .pdf).",
        ),
    ] = None
    record: Annotated[
        Path | None,
        Option(help="A folder for the episodes, as a dataset of Minari for each task."),
    ] = None
    save_replay: Annotated[Path | None, Option(help="A folder for StarCraft II's own replays.")] = (
        None
    )


@dataclass(frozen=True)
class PlotOptions:
    """The options of ``rllib plot``."""

    by: Annotated[
        str,
        Option(
            metavar="KEY,...",
            help="What makes a group of runs: variant (the entry of the file and the values of "
            "its grid), method, or searched keys.",
        ),
    ] = "variant"
    figure: Annotated[
        str, Option(help="curves, tasks (bars by task), profiles, or improvement.")
    ] = "curves"
    statistic: Annotated[
        str, Option(help="median with 25-75 %, or iqm: interquartile mean with a 95 % interval.")
    ] = "median"
    metric: Annotated[
        str,
        Option(
            metavar="KEY",
            help="win_rate_mean or win_rate/TASK, of the evaluations; or any result key.",
        ),
    ] = "win_rate_mean"
    x: Annotated[str, Option("--x", help="The axis of curves: steps, time or updates.")] = "steps"
    out: Annotated[
        Path | None,
        Option(help="The figure's file: .png, .svg or .pdf (default: a summary is printed)."),
    ] = None
    theme: Annotated[str, Option(help="The figure's background: light or dark.")] = "light"
    title: Annotated[
        str | None, Option(help="The figure's title (default: the experiment's name).")
    ] = None
    join: Annotated[
        bool, Option("--join", help="Draw the runs of different experiments in one panel.")
    ] = False
    export: Annotated[
        Path | None, Option(help="A .csv file to which all evaluations are written.")
    ] = None
    marl_eval: Annotated[
        Path | None, Option(help="A .json file for marl-eval, with all evaluations.")
    ] = None


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
