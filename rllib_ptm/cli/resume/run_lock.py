"""One training at a time in a run's folder.

The lock is on the folder itself and belongs to the process. So it ends with the process, however
that ends, and leaves no file. A file system without locks, such as some network drives, has none.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rllib_ptm.checks.errors import InputError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A context in which no other process trains in a run's folder.

    Raises:
        InputError: Another process does, or there is no such folder.
    """
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from None
    try:
        _lock(number, folder)
        yield
    finally:
        os.close(number)  # ends the lock


def check_not_in_use(folder: Path) -> None:
    """Checks that no process trains in a run's folder.

    Raises:
        InputError: One does.
    """
    with alone_in(folder):
        pass


def _lock(number: int, folder: Path) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{folder}: another process trains there; wait until it has ended, or end it"
        ) from None
    except OSError:  # the file system has no locks
        return
