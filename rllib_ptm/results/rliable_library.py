"""rliable: intervals of the interquartile mean by bootstrap, and performance profiles."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from rllib_ptm.checks.extras import needs_extra

_SEED = 0


def rliable() -> Any:
    """The module ``rliable.library``.

    Raises:
        InputError: rliable is not installed.
    """
    purpose = "an interval of the interquartile mean"
    with needs_extra("plot", purpose), _only_submodules_of("arch"):
        from rliable import library
    return library


@contextlib.contextmanager
def _only_submodules_of(package: str) -> Iterator[None]:
    """A context in which the package's own ``__init__`` does not run.

    rliable needs ``arch.bootstrap`` alone. The rest of arch does not work with pandas 3.
    """
    spec = None if package in sys.modules else importlib.util.find_spec(package)
    if spec is None:  # it is imported, or not installed
        yield
        return
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[package]  # a later import loads the whole package


def is_installed() -> bool:
    """Whether intervals can be computed."""
    return importlib.util.find_spec("rliable") is not None


@contextlib.contextmanager
def fixed_draws() -> Iterator[None]:
    """A context in which equal data give equal intervals.

    rliable draws from NumPy's global generator, and ignores the one that it is given.
    """
    before = np.random.get_state()
    np.random.seed(_SEED)
    try:
        yield
    finally:
        np.random.set_state(before)
