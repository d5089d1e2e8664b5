"""Public names of a package that are loaded when they are first used (PEP 562).

``lazy_loader`` does the same, but only for names from within the package, and it caches them:
``rllib_ptm`` shows a name of ``envs``, and does something at each use of one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: The package's ``__name__``.
        homes: Public name -> the module that defines it. A name must not be that of a submodule.

    Example:
        >>> __getattr__, __dir__ = lazy_names(__name__, {"Task": "envs.starcraft.tasks"})
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    def names() -> list[str]:
        return sorted({*vars(import_module(package)), *homes})

    return load, names
