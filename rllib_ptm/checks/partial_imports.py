"""Imports a module of a package without running the package's own ``__init__``."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def empty_packages(*packages: str) -> Iterator[None]:
    """Puts an empty module into ``sys.modules`` for each package that is not yet imported.

    They are removed at the end of the block, so a later import loads the whole package.

    Args:
        *packages: Names of packages, parents first.
    """
    absent = [name for name in packages if name not in sys.modules]
    for name in absent:
        if spec := importlib.util.find_spec(name):
            sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)
