"""Modules of the user's own: they add rows to the tables, or make environments.

A row such as ``METHODS["mine"] = Method(...)`` exists only in a process that has imported its
module. The config's key ``extensions`` names these modules. Every process that gets the config
imports them: the main process of a run, env runners, learners, and a run that resumes.

A checkpoint names them too. What only plays a policy does not import them by itself, because a
checkpoint may come from anybody: the user names them again.
"""

from __future__ import annotations

import difflib
import importlib
import pathlib
import re
import sys
from types import ModuleType
from typing import Any

from rllib_ptm.checks.errors import InputError, Problems, shown
from rllib_ptm.process import IMPORT_FOLDERS

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def import_extensions(modules: Any, place: str = "config.extensions") -> tuple[str, ...]:
    """Imports the modules that a config names.

    Args:
        modules: What the user wrote: a list of names of modules.
        place: Where it stands, for messages.

    Returns:
        The names.

    Raises:
        InputError: A line for each that is no name of a module, or cannot be imported.
    """
    if not isinstance(modules, (list, tuple)):
        raise InputError(
            f"{place}: expected a list of modules, such as [my_methods], found {shown(modules)}"
        )
    problems = Problems()
    for name in modules:
        with problems.collect():
            import_module(_checked(name, place), f"{place}: {name!r}")
    problems.raise_if_any()
    return tuple(modules)


def check_imported(modules: Any, how: str) -> None:
    """Checks that the user has named what a checkpoint names.

    Args:
        modules: The extensions that the checkpoint names.
        how: How the user names them, for the message.

    Raises:
        InputError: Some are not imported in this process.
    """
    missing = [str(name) for name in modules if name not in sys.modules]
    if missing:
        raise InputError(
            f"the policy was trained with the extensions {', '.join(missing)}; modules that a "
            f"checkpoint names are only imported if you name them too: {how}{','.join(missing)}"
        )


def import_module(name: str, place: str) -> ModuleType:
    """Imports a module of the user's own.

    Args:
        name: The module's name.
        place: Where it stands, for messages.

    Raises:
        InputError: There is no such module, or it raises.
    """
    try:
        return importlib.import_module(name)
    except InputError as error:
        raise InputError(*(f"{place}: {line}" for line in error.lines)) from error
    except ModuleNotFoundError as error:
        if f"{name}.".startswith(f"{error.name}."):
            places = ", ".join((*IMPORT_FOLDERS, "Python's own path"))
            raise InputError(
                f"{place}: there is no module {error.name!r} in {places}{_nearest_module(name)}"
            ) from error
        raise InputError(f"{place}: the module {name!r} cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:  # the user's module runs, and may raise anything
        raise InputError(
            f"{place}: the module {name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _checked(name: Any, place: str) -> str:
    if isinstance(name, str) and name.endswith(".py"):
        raise InputError(
            f"{place}: expected the name of a module, {pathlib.Path(name).stem!r}, found {name!r}"
        )
    if not isinstance(name, str) or not _MODULE.fullmatch(name):
        raise InputError(
            f"{place}: expected names of modules, such as 'my_methods', found {shown(name)}"
        )
    if name == "__main__":
        raise InputError(
            f"{place}: other processes cannot import {name!r}; move the rows to a module of their "
            f"own, and name that"
        )
    return name


def _nearest_module(name: str) -> str:
    """A hint at the user's own module that a name resembles; empty if there is none."""
    own = [file.stem for folder in IMPORT_FOLDERS for file in pathlib.Path(folder).glob("*.py")]
    nearest = difflib.get_close_matches(name.removesuffix(".py"), own, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
