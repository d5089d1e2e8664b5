"""Runs a Python file of the user's own: an experiment, or the registration of environments."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from rllib_ptm.checks.errors import InputError, located
from rllib_ptm.cli.read.search.spaces import written_space

CONFIG, STOP = "config", "stop"  # what an experiment's file defines
_PREFIX = "rllib_experiment_"  # so that random.py does not replace Python's own module


def run_python_file(path: Path) -> ModuleType:
    """Runs a file as a module whose name is not ``__main__``.

    The file is compiled each time. Python itself takes what it compiled before if the file has the
    same length and was changed within the same second.

    Its functions and classes are pickled by value, so no other process needs the file.

    Args:
        path: The file. What it imports from its own folder has to be importable.

    Raises:
        InputError: The file cannot be read, or it raises; the message names its line.
    """
    import ray.cloudpickle

    name = f"{_PREFIX}{path.stem}"
    loader = SourceFileLoader(name, str(path.absolute()))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None  # as there is a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    for pickler in (cloudpickle, ray.cloudpickle):  # each has a list of its own
        pickler.register_pickle_by_value(module)
    try:
        exec(loader.source_to_code(loader.get_data(loader.path), loader.path), vars(module))
    except InputError as error:
        with located(f"{path}{_line_of(error, path)}: "):
            raise InputError(*error.lines) from error
    except (Exception, SystemExit) as error:
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(
            f"{path}{_line_of(error, path)}: {type(error).__name__}: {what}"
        ) from error
    return module


def read_python_experiment(path: Path) -> dict[str, Any]:
    """Reads a file that defines ``config`` and, if it likes, ``stop``.

    Returns:
        The experiment's keys, as a YAML file has them. Of the config only what differs from the
        defaults.

    Raises:
        InputError: The file raises, or has no config of PTM.
    """
    from rllib_ptm import PTM, PTMConfig

    defined = vars(run_python_file(path))
    if CONFIG not in defined:
        nearest = difflib.get_close_matches(CONFIG, defined, n=1)
        hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise InputError(
            f"{path}: it defines no {CONFIG!r}{hint}; expected a line such as "
            f"config = PTMConfig().environment(...); a script that trains by itself is run by "
            f"python {path}"
        )
    config = defined[CONFIG]
    if type(config) is not PTMConfig or config.algo_class is not PTM:
        found = type(config).__name__
        if isinstance(config, PTMConfig) and type(config) is PTMConfig:
            found = f"one of {config.algo_class!r}"
        raise InputError(
            f"{path}: config: expected a PTMConfig, found {found}; other algorithms are trained "
            f"without this command: config.build_algo() or ray.tune.Tuner"
        )
    with located(f"{path}: "):
        keys = written_space({"env": config.env, **config.changed()}, CONFIG)
    return {"run": PTM.__name__, CONFIG: keys, STOP: defined.get(STOP)}


def _line_of(error: BaseException, path: Path) -> str:
    """The line of a file at which an error arose, for messages."""
    if isinstance(error, SyntaxError):  # it may be one of an imported module
        return f", line {error.lineno}" if error.filename == str(path.absolute()) else ""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path.absolute())]
    return f", line {lines[-1]}" if lines else ""
