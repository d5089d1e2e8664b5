"""Checks before the work that its results can be written after it."""

from __future__ import annotations

import os
from pathlib import Path

from rllib_ptm.checks.errors import InputError


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, if they do not exist.

    Raises:
        InputError: It cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{str(folder)!r} cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"{str(folder)!r} cannot be written to")


def check_file(option: str, file: Path) -> None:
    """Checks that a file can be written.

    Args:
        option: The option that names it, for messages.
        file: The file, which need not exist.

    Raises:
        InputError: Its folder is missing, or it is a folder, or it cannot be written to.
    """
    folder = file.absolute().parent
    if not folder.is_dir():
        raise InputError(f"{option}: there is no folder {str(file.parent)!r}")
    if file.is_dir():
        raise InputError(f"{option}: expected a file, found the folder {str(file)!r}")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise InputError(f"{option}: {str(file)!r} cannot be written to")
