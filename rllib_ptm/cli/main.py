"""The command ``rllib``, with the verbs and options of Ray's former one, as far as they hold."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table
from typer.exceptions import TyperException

from envs.errors import InputError
from rllib_ptm.cli.read import options
from rllib_ptm.cli.read.examples import description, example, examples, find_experiment_file
from rllib_ptm.cli.read.experiment import Experiment, read_experiment, read_experiments
from rllib_ptm.cli.read.former import FORMER_COMMANDS, why_no_option
from rllib_ptm.cli.read.json_option import json_mapping
from rllib_ptm.cli.read.repeats import refuse_repeats
from rllib_ptm.cli.read.spread import spread

_INPUT_ERROR = 2
_INTERRUPTED = 130

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
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        refuse_repeats(app, words)
        return app(args=words, prog_name="rllib", standalone_mode=False) or 0
    except (InputError, TyperException) as error:
        message = _message(error, words)
        if message:  # there is none where the help has been shown instead
            print(f"rllib: {' '.join(message.split())}", file=sys.stderr)
        return _INPUT_ERROR
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED


def _message(error: InputError | TyperException, words: Sequence[str]) -> str:
    """What to tell the user; where Ray's former command had it, what has become of it."""
    option = getattr(error, "option_name", None)
    if option is not None and (why := why_no_option(option, words[0])):
        return f"{option}: {why}"
    if isinstance(error, TyperException) and words and words[0] in FORMER_COMMANDS:
        return f"{words[0]}: {FORMER_COMMANDS[words[0]]}"
    return error.format_message() if isinstance(error, TyperException) else str(error)


@train_app.callback(invoke_without_command=True)
@spread
def train(
    context: typer.Context,
    algo: options.Algorithm = None,
    env: options.Environment = None,
    config: options.Config = "{}",
    experiment_name: options.ExperimentName = "default",
    *,
    chosen: options.TrainChoices,
) -> None:
    """Train by options, or by a file: rllib train file X.yaml."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    spec = {"run": algo, "env": env, "config": json_mapping("--config", config)}
    keys = chosen.experiment_keys()
    stop = keys.pop("stop", None)
    _train([read_experiment(experiment_name, spec, "command line", keys, stop)], chosen)


@train_app.command()
@spread
def file(config_file: options.ExperimentFile, chosen: options.TrainChoices) -> None:
    """Train the experiments of a file. Options take the place of what the file says."""
    keys = chosen.experiment_keys()
    stop = keys.pop("stop", None)
    _train(read_experiments(find_experiment_file(config_file), keys, stop), chosen)


@app.command()
@spread
def evaluate(checkpoint: options.CheckpointFolder, chosen: options.EvaluateChoices) -> None:
    """Play greedy games with a checkpoint; shows the win rate of each task."""
    from rllib_ptm.cli.run.evaluate import evaluate as play

    play(checkpoint, chosen)


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
@spread
def run_example(name: options.ExampleName, chosen: options.TrainChoices) -> None:
    """Train an example. Options take the place of what it says."""
    file(config_file=example(name), **vars(chosen))


def _train(experiments: list[Experiment], chosen: options.TrainChoices) -> None:
    from rllib_ptm.cli.run.train import train as train_experiments

    raise typer.Exit(train_experiments(experiments, chosen))


def _refuse_options_before(context: typer.Context) -> None:
    """Options before ``file`` would be read and then forgotten."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "-v" if name == "verbose" else "--" + name.replace("_", "-")
            raise InputError(
                f"{option}: options belong after the file: rllib train file X.yaml ..."
            )


if __name__ == "__main__":
    sys.exit(main())
