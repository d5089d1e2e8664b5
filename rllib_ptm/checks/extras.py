"""The optional packages: an import that lacks one says how to install it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import InputError


@contextmanager
def needs_extra(extra: str, purpose: str, otherwise: str = "") -> Iterator[None]:
    """A context for imports of packages that an extra of ours installs.

    Args:
        extra: The extra's name in setup.cfg.
        purpose: What needs the packages, for the message.
        otherwise: What the user can do without them, for the message.

    Raises:
        InputError: One of them is not installed. The message names it and the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "rllib_ptm":
            raise  # a fault of ours, no missing package
        raise InputError(
            f"{purpose} needs the module {error.name.partition('.')[0]!r}, which is not "
            f"installed: pip install 'rllib-ptm[{extra}]'{otherwise}"
        ) from error


def check_installed(package: str, place: str) -> None:
    """Checks that there is a package, whose extra has the same name. Does not import it.

    Args:
        package: The package's name.
        place: Where the user names it, for the message.

    Raises:
        InputError: It is not installed.
    """
    spec = importlib.util.find_spec(package)
    # A folder of that name, such as the one that wandb writes, is found as a package, too.
    if spec is None or spec.origin is None:
        raise InputError(
            f"{place}: the package {package} is not installed: pip install 'rllib-ptm[{package}]'"
        )
