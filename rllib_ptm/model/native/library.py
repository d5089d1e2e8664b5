"""Loads the compiled C++ code. Its first use on a machine compiles it.

The result is stored in ``~/.cache/rllib_ptm/native``. Its name depends on the code, the compilers
and the processor, so that machines may share a home directory. A failure is recorded there as well:
one process logs it, and the others use torch without another try.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import time
from pathlib import Path

import platformdirs
from filelock import FileLock

from rllib_ptm.model.native.compiler import (
    CompilerError,
    choose_gcc,
    compile_library,
    fingerprint,
    installed_compilers,
)
from rllib_ptm.model.native.structs import check_structs

logger = logging.getLogger(__name__)

# The environment variable that switches the compiled code off: 0 = torch evaluates all networks.
SWITCH = "RLLIB_PTM_NATIVE"
# A failure is tried again after a day: it may have been a full disk.
_FAILURE_SECONDS = 24 * 3600
# How long a process waits for another one that compiles, which takes about half a minute.
_LOCK_SECONDS = 600


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled code; None if it is switched off or cannot be had, which is logged.

    Raises:
        StructMismatchError: Python and C++ declare different structures.
    """
    if switched_off():
        return None
    try:
        return _load_or_compile()
    except OSError as error:
        logger.warning("The networks run in torch alone, slower: %s", error)
        return None


def switched_off() -> bool:
    """Whether the environment variable ``SWITCH`` switches the compiled code off."""
    return os.environ.get(SWITCH, "1") == "0"


def load(path: Path) -> ctypes.CDLL:
    """Loads a compiled library.

    Raises:
        StructMismatchError: Python and C++ declare different structures.
        OSError: It is missing or damaged.
    """
    loaded = ctypes.CDLL(str(path))
    check_structs(loaded)
    loaded.has_bf16.restype = ctypes.c_bool
    loaded.attention_saved_floats.restype = ctypes.c_int64
    return loaded


def _load_or_compile() -> ctypes.CDLL | None:
    compilers = installed_compilers()
    path = _cache_folder() / "native" / f"{fingerprint(compilers)}.so"
    failure = path.with_suffix(".failed")
    with contextlib.suppress(OSError):  # missing or damaged: compiled below
        return load(path)
    if not _failed_lately(failure):
        path.parent.mkdir(parents=True, exist_ok=True)
        # One process compiles. The others wait for its result.
        with FileLock(path.parent.with_suffix(".lock"), timeout=_LOCK_SECONDS):
            with contextlib.suppress(OSError):
                return load(path)
            if not _failed_lately(failure):
                try:
                    compile_library(path, choose_gcc(compilers).command)
                    return load(path)
                except CompilerError as error:
                    _record_failure(failure, error)
                    return None
    logger.info("The networks run in torch alone, slower: see %s", failure)
    return None


def _cache_folder() -> Path:
    folder = platformdirs.user_cache_path("rllib_ptm")
    if folder.parts[0] == "~":
        raise FileNotFoundError("There is no home directory to store the compiled code in")
    return folder


def _failed_lately(failure: Path) -> bool:
    return failure.exists() and time.time() - failure.stat().st_mtime < _FAILURE_SECONDS


def _record_failure(failure: Path, error: CompilerError) -> None:
    failure.write_text(f"{error}\n", "utf-8")
    logger.warning(
        "The networks run in torch alone, slower. %s. Processes on this machine do not try again "
        "for a day, unless %s is deleted.",
        *(error, failure),
    )
