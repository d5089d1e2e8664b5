"""The command line's options: each with its names and its help, said once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from rllib_ptm.cli.read.json_option import json_mapping

# Beyond these a slip of the finger is likelier than an intention.
MOST_EPISODES, MOST_TRIALS, MOST_CORES = 1_000_000, 10_000, 10_000

_TRIALS = "Trials"
_CHECKPOINTS = "Checkpoints"
_CLUSTER = "Ray cluster"

# What to train
Algorithm = Annotated[
    str | None, typer.Option("--algo", "--run", "-a", "-r", help="The algorithm: PTM.")
]
Environment = Annotated[
    str | None, typer.Option("--env", "-e", help="The environment: multi_task_sc2.")
]
Config = Annotated[
    str, typer.Option("--config", "-c", help="The algorithm's settings, as JSON.", metavar="JSON")
]
ExperimentName = Annotated[
    str, typer.Option("--experiment-name", "-n", help="Also the name of its results folder.")
]
ExperimentFile = Annotated[
    Path,
    typer.Argument(
        help="A YAML file {name: {run, env, stop, checkpoint_config, config}}, "
        "or an example: tuned_examples/NAME.yaml.",
        show_default=False,
    ),
]
ExampleName = Annotated[str, typer.Argument(help="See rllib example list.", show_default=False)]


@dataclass(frozen=True)
class ClusterOptions:
    """How to reach or start the cluster.

    Attributes:
        address: A running cluster; None starts one on this machine.
        num_cpus: Cores that the trials may take together; None = all of this machine.
        num_gpus: GPUs that a started cluster shares out; None = this machine's.
        verbosity: 0 = no word from Ray, 1 = information, 2 = everything.
    """

    address: str | None = None
    num_cpus: int | None = None
    num_gpus: int | None = None
    verbosity: int = 0

    @property
    def log_level(self) -> int:
        """The level of Python's logging that the verbosity stands for."""
        return (logging.CRITICAL, logging.INFO, logging.DEBUG)[min(self.verbosity, 2)]


@dataclass(frozen=True)
class TrainChoices:
    """The options of every command that trains. None leaves it to the experiment's file."""

    stop: Annotated[
        str | None,
        typer.Option(
            "--stop",
            "-s",
            metavar="JSON",
            help="Result keys and the values that end the run, as JSON: '{\"time_total_s\": 600}'.",
        ),
    ] = None
    evaluation_episodes: Annotated[
        int,
        typer.Option(
            "--evaluation-episodes",
            min=1,
            max=MOST_EPISODES,
            help="Greedy games of each task at the end.",
        ),
    ] = 100
    storage_path: Annotated[
        str,
        typer.Option(
            "--storage-path", "--local-dir", help="The folder that holds a folder per experiment."
        ),
    ] = "./results"
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with this experiment's interrupted or failed run."),
    ] = False
    num_samples: Annotated[
        int | None,
        typer.Option(
            "--num-samples",
            min=1,
            max=MOST_TRIALS,
            rich_help_panel=_TRIALS,
            help="How often each variant of the config is trained (default: once).",
        ),
    ] = None
    max_concurrent_trials: Annotated[
        int | None,
        typer.Option(
            "--max-concurrent-trials",
            min=1,
            max=MOST_TRIALS,
            rich_help_panel=_TRIALS,
            help="How many trials run at once (default: as many as there is room for).",
        ),
    ] = None
    max_failures: Annotated[
        int | None,
        typer.Option(
            "--max-failures",
            min=-1,
            rich_help_panel=_TRIALS,
            help="How often a trial that fails goes on from its last checkpoint; -1: always.",
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            rich_help_panel=_TRIALS,
            help="What ends or changes trials early: fifo (nothing), asha or pbt.",
        ),
    ] = None
    scheduler_config: Annotated[
        str | None,
        typer.Option(
            "--scheduler-config",
            metavar="JSON",
            rich_help_panel=_TRIALS,
            help="The scheduler's settings, as JSON.",
        ),
    ] = None
    checkpoint_freq: Annotated[
        int | None,
        typer.Option(
            "--checkpoint-freq",
            min=0,
            rich_help_panel=_CHECKPOINTS,
            help="Iterations between checkpoints; 0: only at the end.",
        ),
    ] = None
    checkpoint_at_end: Annotated[
        bool | None,
        typer.Option(
            "--checkpoint-at-end",
            rich_help_panel=_CHECKPOINTS,
            show_default=False,
            help="Always so; kept for command lines written for Ray.",
        ),
    ] = None
    keep_checkpoints_num: Annotated[
        int | None,
        typer.Option(
            "--keep-checkpoints-num",
            min=1,
            rich_help_panel=_CHECKPOINTS,
            help="How many checkpoints stay (default: all).",
        ),
    ] = None
    checkpoint_score_attr: Annotated[
        str | None,
        typer.Option(
            "--checkpoint-score-attr",
            rich_help_panel=_CHECKPOINTS,
            help="The result key that says which stay (default: the newest).",
        ),
    ] = None
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            metavar="HOST:PORT",
            rich_help_panel=_CLUSTER,
            help="A running cluster, in place of one started on this machine.",
        ),
    ] = None
    ray_num_cpus: Annotated[
        int | None,
        typer.Option(
            "--ray-num-cpus",
            min=1,
            max=MOST_CORES,
            rich_help_panel=_CLUSTER,
            help="Cores for all trials together (default: as many as this machine has).",
        ),
    ] = None
    ray_num_gpus: Annotated[
        int | None,
        typer.Option(
            "--ray-num-gpus",
            min=0,
            max=MOST_CORES,
            rich_help_panel=_CLUSTER,
            help="GPUs that a started cluster shares out (default: this machine's).",
        ),
    ] = None
    verbose: Annotated[
        int,
        typer.Option(
            "-v", count=True, show_default=False, help="Show Ray's own log, too; -vv: all of it."
        ),
    ] = 0

    @property
    def cluster(self) -> ClusterOptions:
        """How to reach or start Ray."""
        return ClusterOptions(self.ray_address, self.ray_num_cpus, self.ray_num_gpus, self.verbose)

    def experiment_keys(self) -> dict[str, Any]:
        """The keys of an experiment that were chosen here, in the place of a file's.

        Raises:
            InputError: A value that should be JSON is not.
        """
        score = self.checkpoint_score_attr
        lowest = score is not None and score.startswith("min-")  # as Ray's command said it
        checkpoint = {
            "checkpoint_frequency": self.checkpoint_freq,
            "checkpoint_at_end": self.checkpoint_at_end,
            "num_to_keep": self.keep_checkpoints_num,
            "checkpoint_score_attribute": score.removeprefix("min-") if score else score,
            "checkpoint_score_order": "min" if lowest else None,
        }
        keys = {
            "stop": json_mapping("--stop", self.stop),
            "num_samples": self.num_samples,
            "max_concurrent_trials": self.max_concurrent_trials,
            "max_failures": self.max_failures,
            "scheduler": self.scheduler,
            "scheduler_config": json_mapping("--scheduler-config", self.scheduler_config),
            "checkpoint_config": {k: v for k, v in checkpoint.items() if v is not None} or None,
        }
        return {key: value for key, value in keys.items() if value is not None}


@dataclass(frozen=True)
class EvaluateChoices:
    """The options of ``rllib evaluate``."""

    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            help="Task names, parted by commas, or a task set (default: those it was trained on).",
        ),
    ] = None
    episodes: Annotated[
        int, typer.Option("--episodes", min=1, max=MOST_EPISODES, help="Games of each task.")
    ] = 100
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the battles.")] = 0
    backend: Annotated[
        str | None,
        typer.Option("--backend", help="What plays the battles (default: as in training)."),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A .json or .csv file to write the result to, too."),
    ] = None
    render: Annotated[
        Path | None,
        typer.Option("--render", help="A .gif or .mp4 film of the first game of each task."),
    ] = None
    save_replay: Annotated[
        Path | None,
        typer.Option("--save-replay", help="A folder for StarCraft II's own replays."),
    ] = None


CheckpointFolder = Annotated[
    Path, typer.Argument(help="A checkpoint's folder.", show_default=False)
]
