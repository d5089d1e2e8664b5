"""Compiles the C++ code at its first use on a machine, and loads it.

What was compiled is kept beside the battles' compiled programs, in ``~/.cache/rllib_ptm``, under a
name that tells the code, the compiler and the processor: machines that share a home directory do
not meet.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

# 0: networks are evaluated by torch in any case.
SWITCH = "RLLIB_PTM_NATIVE"
FOLDER = Path(__file__).parent
_FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fopenmp", "-shared", "-fPIC")
# Characters of what the compiler says that are logged: the last ones.
_LOGGED = 1000


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled code; None if it is switched off, or if it cannot be had, which is logged."""
    if os.environ.get(SWITCH, "1") == "0":
        return None
    compiler = _compiler()
    if compiler is None:
        logger.warning("No C++ compiler (g++) was found: the networks run in torch alone, slower.")
        return None
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rllib_ptm"
        path = cache / "native" / f"{_fingerprint(compiler)}.so"
        if path.exists():
            with contextlib.suppress(OSError, AttributeError):  # damaged: compiled once more, below
                return load(path)
        compile_library(path, compiler)
        return load(path)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:  # RuntimeError: no home
        reason = str(getattr(error, "stderr", None) or error).strip()[-_LOGGED:]
        command = " ".join(compiler)
        logger.warning("The networks run in torch alone, slower: %s failed: %s", command, reason)
        return None


def _compiler() -> list[str] | None:
    """The command that $CXX names, or g++, whichever is there."""
    for command in (shlex.split(os.environ.get("CXX", "")), ["g++"]):
        if command and shutil.which(command[0]):
            return command
    return None


def load(path: Path) -> ctypes.CDLL:
    """Loads what was compiled."""
    loaded = ctypes.CDLL(str(path))
    loaded.has_bf16.restype = ctypes.c_bool
    loaded.attention_kept.restype = ctypes.c_int64
    return loaded


def compile_library(
    path: Path, compiler: Sequence[str] = ("g++",), machine: str = "native"
) -> None:
    """Compiles the C++ code; whoever else does so at the same time does no harm.

    Args:
        path: Where to put it.
        compiler: A GCC, and arguments for it.
        machine: For which processors, as GCC's ``-march``.

    Raises:
        subprocess.CalledProcessError: It cannot be compiled.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        command = [*compiler, *_FLAGS, f"-march={machine}", *map(str, _code("*.cpp"))]
        _run([*command, "-o", str(made)])
        with made.open("rb") as file:
            os.fsync(file.fileno())  # or a power failure could leave half of it under its name
        made.replace(path)


def _code(pattern: str) -> list[Path]:
    return sorted(FOLDER.glob(pattern))


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, encoding="utf-8", errors="replace"
    )
    return done.stdout


def _fingerprint(compiler: Sequence[str]) -> str:
    """Of the code, the compiler and the processor."""
    parts = [platform.machine(), *compiler, _run([*compiler, "--version"]), *_FLAGS]
    parts += [path.read_text("utf-8") for path in _code("*.[ch]*")]
    processor = Path("/proc/cpuinfo")
    if processor.exists():
        lines = processor.read_text("utf-8", "replace").splitlines()
        parts += sorted({x for x in lines if x.startswith(("flags", "Features", "model name"))})
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
