"""The command line's options: each with its names and its help, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
Stop = Annotated[
    str | None,
    typer.Option(
        "--stop",
        "-s",
        metavar="JSON",
        help="Result keys and the values that end the run, as JSON: "
        "'{\"time_total_s\": 600}'. In place of those of a file.",
    ),
]
ExperimentName = Annotated[
    str, typer.Option("--experiment-name", "-n", help="Also the name of its results folder.")
]
NumSamples = Annotated[
    int, typer.Option("--num-samples", help="How often each variant of the config is trained.")
]

# What to keep
CheckpointFreq = Annotated[
    int,
    typer.Option("--checkpoint-freq", help="Iterations between checkpoints; 0: only at the end."),
]
CheckpointAtEnd = Annotated[
    bool,
    typer.Option("--checkpoint-at-end", help="Always so; kept for command lines written for Ray."),
]
KeepCheckpointsNum = Annotated[
    int | None,
    typer.Option("--keep-checkpoints-num", help="How many checkpoints stay (default: all)."),
]
CheckpointScoreAttr = Annotated[
    str | None,
    typer.Option(
        "--checkpoint-score-attr", help="The result key that says which stay (default: the newest)."
    ),
]
StoragePath = Annotated[
    str,
    typer.Option(
        "--storage-path", "--local-dir", help="The folder that holds a folder per experiment."
    ),
]

# How to run
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with this experiment's interrupted or failed run.")
]
EvaluationEpisodes = Annotated[
    int,
    typer.Option("--evaluation-episodes", min=1, help="Greedy games of each task at the end."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT",
        rich_help_panel=_CLUSTER,
        help="A running cluster, in place of one started on this machine.",
    ),
]
RayNumCpus = Annotated[
    int | None,
    typer.Option(
        "--ray-num-cpus",
        min=1,
        rich_help_panel=_CLUSTER,
        help="Cores that a trial may take (default: as many as this machine has).",
    ),
]
RayNumGpus = Annotated[
    int | None,
    typer.Option(
        "--ray-num-gpus",
        min=0,
        rich_help_panel=_CLUSTER,
        help="GPUs that a started cluster shares out (default: this machine's).",
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "-v", count=True, show_default=False, help="Show Ray's own log, too; -vv: all of it."
    ),
]

# What to play
Checkpoint = Annotated[Path, typer.Argument(help="A checkpoint's folder.", show_default=False)]
Tasks = Annotated[
    str | None,
    typer.Option(
        "--tasks",
        help="Task names, parted by commas, or a task set (default: those it was trained on).",
    ),
]
Episodes = Annotated[int, typer.Option("--episodes", min=1, help="Games of each task.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the battles.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="A .json or .csv file to write the result to, too.")
]

# Arguments
ExperimentFile = Annotated[
    Path,
    typer.Argument(
        help="A YAML file {name: {run, env, stop, checkpoint_config, config}}, "
        "or an example: tuned_examples/NAME.yaml.",
        show_default=False,
    ),
]
ExampleName = Annotated[str, typer.Argument(help="See rllib example list.", show_default=False)]
