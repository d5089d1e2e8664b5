"""What Typer lacks: groups of options, and options that may stand only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.options.groups import StrictCommand, StrictGroup, takes_options


@dataclass(frozen=True)
class Group:
    """Options of two commands."""

    size: Annotated[int, typer.Option("--size", "-s", min=1)] = 3
    name: str = "x"
    verbose: Annotated[int, typer.Option("-v", count=True)] = 0


got: list[tuple[str, Group]] = []
app = typer.Typer(pretty_exceptions_enable=False)
train = typer.Typer(cls=StrictGroup)
app.add_typer(train, name="train")


@train.callback(invoke_without_command=True)
@takes_options(Group)
def begin(context: typer.Context, options: Group) -> None:
    if context.invoked_subcommand is None:
        got.append(("", options))


@train.command(cls=StrictCommand)
@takes_options(Group)
def file(path: str, options: Group) -> None:
    """Trains a file."""
    got.append((path, options))


def run(*words: str) -> tuple[str, Group]:
    got.clear()
    app(args=["train", *words], standalone_mode=False)
    (found,) = got
    return found


def test_a_command_gets_its_options_in_one_piece() -> None:
    assert run("--size", "4") == ("", Group(size=4))
    assert run("file", "a.yaml", "-s5", "--name=y", "-vv") == ("a.yaml", Group(5, "y", 2))
    assert file.__doc__ == "Trains a file."


def test_a_value_may_look_like_an_option() -> None:
    assert run("--size", "4", "--name", "--size")[1] == Group(4, "--size")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "1", "--size", "2"], "--size: it stands twice; one"),
        (["file", "x", "--size", "1", "-s", "2"], "--size: it stands twice, as --size and as -s;"),
        (["file", "-s1", "x", "-s2"], "--size: it stands twice; one"),
        (["--size", "1", "file", "x"], "--size: options belong after the file"),
        (["-v", "file", "x"], "-v: options belong after the file"),
    ],
)
def test_options_that_would_be_ignored_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(*words)
