"""Faults of the disk while a run trains: what happened where, and what is left of the run."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from ray.tune import Callback
from ray.tune.error import TuneError

from rllib_ptm.checkpoints.folder import CONTENTS_FILE, CheckpointError
from rllib_ptm.checkpoints.saved_policy import check_algorithm
from rllib_ptm.cli.show.messages import OutputLostError
from rllib_ptm.ray_private.names import STORAGE_MARKER

_OF_FILES = (OSError, EOFError, UnpicklingError)
_PROBE_BYTES = 1 << 16  # more than what a full disk may still have left of its last blocks


class StorageFaultError(Exception):
    """A run has ended because its files cannot be written or read; the message is one line."""


class WatchStorage(Callback):
    """Ends a run whose folder has been deleted, instead of when it saves its last checkpoint.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_trial_result(self, **info: Any) -> None:
        """Called by Tune after each iteration of a trial."""
        if not (self._folder / STORAGE_MARKER).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._folder))


@contextmanager
def explained(name: str, folder: Path) -> Iterator[None]:
    """Explains errors of files in the block.

    Args:
        name: The experiment.
        folder: The run's folder.

    Raises:
        StorageFaultError: A file could not be written or read.
    """
    try:
        yield
    except (*_OF_FILES, TuneError) as error:
        cause = _of_files(error)
        if cause is None:
            raise
        if isinstance(cause, OutputLostError):
            text = str(cause)
        else:
            text = fault(folder) or _text(cause, folder)
        raise StorageFaultError(
            f"{name}: {text}; {last_good(folder) or 'no checkpoint is left'}"
        ) from error


def fault(folder: Path) -> str:
    """What is wrong with the place of a run; empty if it can be written to."""
    if not (folder / STORAGE_MARKER).exists():
        return f"{folder}: the results folder was deleted while the run trained"
    probe = folder / f".probe.{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"{folder}: {error.strerror}"
    finally:
        if probe.exists():
            probe.unlink()
    return ""


def left_after_failure(folder: Path) -> str:
    """What is wrong with the place of a failed run, and its newest whole checkpoint, if any."""
    return "; ".join(filter(None, (fault(folder), last_good(folder))))


def last_good(folder: Path) -> str:
    """Names the newest whole checkpoint of a run; empty if there is none."""
    found = sorted(
        folder.glob(f"*/checkpoint_*/{CONTENTS_FILE}"), key=lambda file: file.stat().st_mtime
    )
    while found:
        checkpoint = found.pop().parent
        try:
            check_algorithm(checkpoint)
        except CheckpointError:
            continue  # an older one may be whole
        return f"the last good checkpoint is {checkpoint}"
    return ""


def _of_files(error: BaseException | None) -> OSError | EOFError | UnpicklingError | None:
    """The error of a file behind another one: Tune hides those of its loggers in its own."""
    while error is not None and not isinstance(error, _OF_FILES):
        error = error.__cause__ or error.__context__
    return error


def _text(error: OSError | EOFError | UnpicklingError, folder: Path) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or folder}: {error.strerror or error}"
    return f"{folder}: a file is empty or cut off, as a full disk leaves it ({error})"
