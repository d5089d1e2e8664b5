"""The command ``rllib``, with the verbs and options of Ray's former one, as far as they hold."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from typer.exceptions import TyperException

from envs.errors import InputError
from rllib_ptm.cli import options
from rllib_ptm.cli.cluster import ClusterOptions
from rllib_ptm.cli.examples import description, example, examples, find_experiment_file
from rllib_ptm.cli.experiment import Experiment, read_experiment, read_experiments

_INPUT_ERROR = 2
_INTERRUPTED = 130
_STORAGE = "./results"

app = typer.Typer(
    name="rllib",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Multi-task cooperative learning on StarCraft micro-battles.",
)
train_app = typer.Typer(no_args_is_help=True, help="Train.")
example_app = typer.Typer(no_args_is_help=True, help="Experiments that come with the package.")
app.add_typer(train_app, name="train")
app.add_typer(example_app, name="example")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words after ``rllib``; those of this process by default.

    Returns:
        The exit code: 0, 1 where a run failed, 2 where what was typed cannot be used, 130 after
        Ctrl-C.
    """
    try:
        return app(args=arguments, prog_name="rllib", standalone_mode=False) or 0
    except (InputError, TyperException) as error:
        message = error.format_message() if isinstance(error, TyperException) else str(error)
        if message:  # there is none where the help has been shown instead
            print(f"rllib: {' '.join(message.split())}", file=sys.stderr)
        return _INPUT_ERROR
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED


@train_app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    algo: options.Algorithm = None,
    env: options.Environment = None,
    config: options.Config = "{}",
    stop: options.Stop = None,
    experiment_name: options.ExperimentName = "default",
    num_samples: options.NumSamples = 1,
    checkpoint_freq: options.CheckpointFreq = 0,
    checkpoint_at_end: options.CheckpointAtEnd = True,
    keep_checkpoints_num: options.KeepCheckpointsNum = None,
    checkpoint_score_attr: options.CheckpointScoreAttr = None,
    storage_path: options.StoragePath = _STORAGE,
    resume: options.Resume = False,
    evaluation_episodes: options.EvaluationEpisodes = 100,
    ray_address: options.RayAddress = None,
    ray_num_cpus: options.RayNumCpus = None,
    ray_num_gpus: options.RayNumGpus = None,
    verbose: options.Verbose = 0,
) -> None:
    """Train by options, or by a file: rllib train file X.yaml."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    spec = {
        "run": algo,
        "env": env,
        "stop": _json_mapping("--stop", stop) if stop is not None else {},
        "num_samples": num_samples,
        "config": _json_mapping("--config", config),
        "checkpoint_config": {
            "checkpoint_frequency": checkpoint_freq,
            "checkpoint_at_end": checkpoint_at_end,
            "num_to_keep": keep_checkpoints_num,
            "checkpoint_score_attribute": checkpoint_score_attr,
        },
    }
    experiment = read_experiment(experiment_name, spec, "command line")
    cluster = ClusterOptions(ray_address, ray_num_cpus, ray_num_gpus, verbose)
    _train([experiment], storage_path, resume, evaluation_episodes, cluster)


@train_app.command()
def file(
    config_file: options.ExperimentFile,
    stop: options.Stop = None,
    storage_path: options.StoragePath = _STORAGE,
    resume: options.Resume = False,
    evaluation_episodes: options.EvaluationEpisodes = 100,
    ray_address: options.RayAddress = None,
    ray_num_cpus: options.RayNumCpus = None,
    ray_num_gpus: options.RayNumGpus = None,
    verbose: options.Verbose = 0,
) -> None:
    """Train the experiments of a file."""
    replaced = None if stop is None else _json_mapping("--stop", stop)
    experiments = read_experiments(find_experiment_file(config_file), replaced)
    cluster = ClusterOptions(ray_address, ray_num_cpus, ray_num_gpus, verbose)
    _train(experiments, storage_path, resume, evaluation_episodes, cluster)


@app.command()
def evaluate(
    checkpoint: options.Checkpoint,
    tasks: options.Tasks = None,
    episodes: options.Episodes = 100,
    seed: options.Seed = 0,
    out: options.Out = None,
) -> None:
    """Play greedy games with a checkpoint; shows the win rate of each task."""
    from rllib_ptm.cli.evaluate import evaluate as play

    play(checkpoint, tasks, episodes, seed, out)


@example_app.command("list")
def list_examples() -> None:
    """Show what examples there are."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("example", no_wrap=True)
    table.add_column("what it does")
    for name, path in examples().items():
        table.add_row(name, description(path))
    console = Console()
    console.print(table)
    console.print("\nrllib example get NAME prints one, rllib example run NAME trains it.")


@example_app.command()
def get(name: options.ExampleName) -> None:
    """Print an example, to be saved and changed."""
    print(example(name).read_text(encoding="utf-8"), end="")


@example_app.command("run")
def run_example(
    name: options.ExampleName,
    stop: options.Stop = None,
    storage_path: options.StoragePath = _STORAGE,
    resume: options.Resume = False,
    evaluation_episodes: options.EvaluationEpisodes = 100,
    ray_address: options.RayAddress = None,
    ray_num_cpus: options.RayNumCpus = None,
    ray_num_gpus: options.RayNumGpus = None,
    verbose: options.Verbose = 0,
) -> None:
    """Train an example."""
    file(
        example(name),
        stop,
        storage_path,
        resume,
        evaluation_episodes,
        ray_address,
        ray_num_cpus,
        ray_num_gpus,
        verbose,
    )


def _train(
    experiments: list[Experiment],
    storage_path: str,
    resume: bool,
    evaluation_episodes: int,
    cluster: ClusterOptions,
) -> None:
    from rllib_ptm.cli.train import TrainOptions
    from rllib_ptm.cli.train import train as train_experiments

    chosen = TrainOptions(storage_path, resume, evaluation_episodes, cluster)
    raise typer.Exit(train_experiments(experiments, chosen))


def _json_mapping(option: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{option}: not JSON: {error}, in {text!r}") from None
    if not isinstance(value, dict):
        raise InputError(f'{option}: expected a JSON object such as {{"key": 1}}, found {text!r}')
    return value


def _refuse_options_before(context: typer.Context) -> None:
    """Options before ``file`` would be read and then forgotten."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--" + name.replace("_", "-")
            raise InputError(
                f"{option}: options belong after the file: rllib train file X.yaml ..."
            )


if __name__ == "__main__":
    sys.exit(main())
