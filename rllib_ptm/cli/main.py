"""The command ``rllib``, with the commands and options of Ray's former one where they apply.

Each command imports what it needs when it runs, so that the help appears at once.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from typer.exceptions import TyperException

from rllib_ptm import pretrained
from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.options.declared import (
    Algorithm,
    AsJson,
    CheckpointFolders,
    Config,
    Environment,
    EvaluateOptions,
    ExampleName,
    ExperimentFile,
    ExperimentName,
    PlotOptions,
    PretrainedName,
    ResultsFolders,
    ShowVersion,
    TrainOptions,
)
from rllib_ptm.cli.options.groups import StrictCommand, StrictGroup, takes_options
from rllib_ptm.cli.options.removed import REMOVED_COMMANDS, replacement
from rllib_ptm.cli.read.examples import description, example, examples, find_experiment_file
from rllib_ptm.cli.read.text import read_json_object
from rllib_ptm.cli.run.exit_codes import (
    EXIT_FAILED,
    EXIT_INPUT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    Terminated,
    sigterm_as_exception,
)
from rllib_ptm.cli.show.messages import (
    OutputLostError,
    never_fail_to_encode,
    print_errors,
    watched_output,
    working,
)
from rllib_ptm.cli.show.pretrained_table import pretrained_table
from rllib_ptm.process import make_importable, set_environment_variables

if TYPE_CHECKING:
    from rllib_ptm.cli.read.experiment import Experiment

app = typer.Typer(
    name="rllib",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Multi-task cooperative learning, on StarCraft micro-battles and in other environments.",
)
train_app = typer.Typer(cls=StrictGroup, no_args_is_help=True, help="Train.")
example_app = typer.Typer(no_args_is_help=True, help="Experiments that come with the package.")
pretrained_app = typer.Typer(no_args_is_help=True, help="Policies that come with the package.")
app.add_typer(train_app, name="train")
app.add_typer(example_app, name="example")
app.add_typer(pretrained_app, name="pretrained")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words after ``rllib``; those of this process by default.

    Returns:
        The exit code: 0, 1 if a run failed, 2 if the input cannot be used, 130 after Ctrl-C,
        143 after SIGTERM.
    """
    set_environment_variables()
    never_fail_to_encode()
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with watched_output():
            return _run(words)
    except OutputLostError as error:
        print_errors([str(error)])
        return EXIT_FAILED


def _run(words: list[str]) -> int:
    """Runs the command, and returns its exit code."""
    try:
        with sigterm_as_exception():
            return app(args=words, prog_name="rllib", standalone_mode=False) or 0
    except (InputError, TyperException) as error:
        messages = error.lines if isinstance(error, InputError) else [_message(error, words)]
        print_errors(filter(None, messages))  # empty if the help has been shown instead
        return EXIT_INPUT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Terminated:
        return EXIT_TERMINATED
    except typer.Abort as error:
        if not isinstance(error.__cause__, EOFError):
            return EXIT_INTERRUPTED
        # Typer takes EOFError for the end of what a user types. Nothing here reads that.
        print_errors([_unfinished_file(error.__cause__)])
        return EXIT_FAILED


def _unfinished_file(error: EOFError) -> str:
    """What an EOFError means that no one has explained, and which code read the file."""
    frames = traceback.extract_tb(error.__traceback__)
    reader = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"a file is empty or cut off, as a full disk leaves it: {error or 'EOFError'}{reader}"


def _message(error: TyperException, words: Sequence[str]) -> str:
    """What is wrong; for a word that Ray's former command knew, what to do instead."""
    option = getattr(error, "option_name", None)
    if option is not None and (instead := replacement(option, words[0])):
        return f"{option}: {instead}"
    if len(words) > 1 and words[0] == "train" and words[1].endswith((".yaml", ".yml", ".py")):
        return f"{words[1]}: a file comes after the word file: rllib train file {words[1]}"
    if words and words[0] in REMOVED_COMMANDS:
        return f"{words[0]}: {REMOVED_COMMANDS[words[0]]}"
    return error.format_message()


@app.callback()
def root(version: ShowVersion = False) -> None:
    """Takes the options that stand before a command."""


@train_app.callback(invoke_without_command=True)
@takes_options(TrainOptions)
def train(
    context: typer.Context,
    options: TrainOptions,
    algo: Algorithm = None,
    env: Environment = None,
    config: Config = "{}",
    experiment_name: ExperimentName = "default",
) -> None:
    """Train by options, or by a file: rllib train file X.yaml."""
    if context.invoked_subcommand is None:
        from rllib_ptm.cli.read.experiment import read_experiment
        from rllib_ptm.cli.run.cluster import set_ray_variables

        make_importable(Path.cwd())
        set_ray_variables(joins_cluster=options.ray_address is not None)
        spec = {"run": algo, "env": env, "config": read_json_object("--config", config)}
        keys, stop = options.experiment_keys(), options.stop_conditions()
        _train([read_experiment(experiment_name, spec, "command line", keys, stop)], options)


@train_app.command(cls=StrictCommand)
@takes_options(TrainOptions)
def file(config_file: ExperimentFile, options: TrainOptions) -> None:
    """Train the experiments of a file. Options replace what the file says."""
    _train_file(find_experiment_file(config_file), options)


@app.command(cls=StrictCommand)
@takes_options(EvaluateOptions)
def evaluate(checkpoints: CheckpointFolders, options: EvaluateOptions) -> None:
    """Play greedy episodes with checkpoints, and show the win rate of each task."""
    from rllib_ptm.cli.run.evaluate import evaluate as play

    play(checkpoints, options)


@app.command(cls=StrictCommand)
@takes_options(PlotOptions)
def plot(results: ResultsFolders, options: PlotOptions) -> None:
    """Summarise runs by group, with intervals over seeds; draw and export them."""
    from rllib_ptm.cli.run.plot import plot as show

    show(results, options)


@app.command(cls=StrictCommand)
def doctor(as_json: AsJson = False) -> None:
    """Show what this machine has of what the package needs and can use, and how to get the rest."""
    from rllib_ptm.cli.run.doctor import examine
    from rllib_ptm.cli.show.doctor_table import OK, doctor_report

    console = Console()
    with working(Console(stderr=True), "Looking"):
        checks = examine()
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        console.print(*doctor_report(checks), sep="\n", soft_wrap=True)
    if any(check.required and check.state != OK for check in checks):
        raise typer.Exit(EXIT_FAILED)


@example_app.command("list")
def list_examples() -> None:
    """Show the examples."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("example", no_wrap=True)
    table.add_column("what it does")
    for name, path in examples().items():
        table.add_row(name, description(path))
    console = Console()
    console.print(table)
    console.print("\nrllib example get NAME prints one, rllib example run NAME trains it.")


@example_app.command()
def get(name: ExampleName) -> None:
    """Print an example, to be saved and changed."""
    print(example(name).read_text(encoding="utf-8"), end="")


@example_app.command("run", cls=StrictCommand)
@takes_options(TrainOptions)
def run_example(name: ExampleName, options: TrainOptions) -> None:
    """Train an example. Options replace what it says."""
    _train_file(example(name), options)


@pretrained_app.command("list")
def list_pretrained() -> None:
    """Show the pretrained policies, and how often they win."""
    console = Console()
    console.print(pretrained_table())
    console.print("\nrllib evaluate NAME plays one, rllib pretrained card NAME tells all about it.")


@pretrained_app.command("card")
def show_card(name: PretrainedName) -> None:
    """Print a pretrained policy's model card: its training, its results, what it is bad at."""
    print(pretrained.card(name), end="")


def _train_file(path: Path, options: TrainOptions) -> None:
    from rllib_ptm.cli.read.experiment import read_experiments
    from rllib_ptm.cli.run.cluster import import_ray, set_ray_variables

    make_importable(path.parent, Path.cwd())
    set_ray_variables(joins_cluster=options.ray_address is not None)
    if path.suffix == ".py":
        import_ray(options.verbose, joins_cluster=options.ray_address is not None)
    _train(read_experiments(path, options.experiment_keys(), options.stop_conditions()), options)


def _train(experiments: list[Experiment], options: TrainOptions) -> None:
    from rllib_ptm.cli.run.train import train as train_experiments

    raise typer.Exit(train_experiments(experiments, options))


if __name__ == "__main__":
    sys.exit(main())
