"""Runs the command of a script as ``rllib`` runs its own: one line for each error, an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.run.exit_codes import (
    EXIT_INPUT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    Terminated,
    sigterm_as_exception,
)


def run_script(app: typer.Typer, arguments: Sequence[str], name: str) -> int:
    """Runs a command.

    Args:
        app: The command.
        arguments: The words after its name.
        name: The script's name, for its help.

    Returns:
        The exit code, as ``rllib`` has it.
    """
    try:
        with sigterm_as_exception():
            return app(args=list(arguments), prog_name=name, standalone_mode=False) or 0
    except (InputError, TyperException) as error:
        lines = error.lines if isinstance(error, InputError) else (error.format_message(),)
        print("\n".join(lines), file=sys.stderr)
        return EXIT_INPUT_ERROR
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except Terminated:
        return EXIT_TERMINATED
