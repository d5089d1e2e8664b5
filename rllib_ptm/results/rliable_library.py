"""rliable: the interquartile mean, stratified bootstrap intervals and performance profiles."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np

from rllib_ptm.checks.errors import InputError
from rllib_ptm.checks.partial_imports import empty_packages

_SEED = 0


def rliable() -> Any:
    """The module ``rliable.library``.

    It needs the bootstrap of ``arch`` alone. The rest of that package does not work with pandas 3,
    so it is not imported.

    Raises:
        InputError: rliable is not installed.
    """
    try:
        with empty_packages("arch"):
            from rliable import library
    except ModuleNotFoundError as error:
        raise InputError(
            f"intervals of the interquartile mean need rliable, and {error.name} is not installed: "
            f"pip install 'rllib-ptm[plot]'"
        ) from None
    return library


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
