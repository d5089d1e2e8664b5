"""Finds a C++ compiler and compiles the code of the folder ``cpp`` with it."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "cpp"
_FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fopenmp", "-shared", "-fPIC")
# How much of a compiler's message an error holds: its last characters.
_MESSAGE_LENGTH = 1000


class CompilerError(Exception):
    """There is no GCC, or it cannot compile the code."""


class Compiler(NamedTuple):
    """An installed C++ compiler.

    Attributes:
        command: The program and arguments for it.
        version: What it prints for ``--version``.
    """

    command: tuple[str, ...]
    version: str


def installed_compilers() -> list[Compiler]:
    """The compiler that ``$CXX`` names and ``g++``, as far as they are installed."""
    found = []
    for command in (shlex.split(os.environ.get("CXX", "")), ["g++"]):
        if command and shutil.which(command[0]):
            done = _run([*command, "--version"])
            found.append(Compiler(tuple(command), done.stdout))
    return found


def choose_gcc(compilers: Sequence[Compiler]) -> Compiler:
    """The first that is a GCC.

    Clang is refused: the code uses vector operations that only GCC has, and Apple's clang, which
    is ``g++`` on macOS, has no OpenMP.

    Raises:
        CompilerError: None of them is.
    """
    if not compilers:
        raise CompilerError("No C++ compiler (g++) was found")
    for compiler in compilers:
        if "clang" not in compiler.version.lower():
            return compiler
    names = " and ".join(shlex.join(compiler.command) for compiler in compilers)
    raise CompilerError(f"The C++ code needs GCC, but {names} is clang; CXX can name a GCC")


def compile_library(
    path: Path, command: Sequence[str] = ("g++",), processor: str = "native"
) -> None:
    """Compiles the C++ code. Several processes may do so at the same time.

    Args:
        path: Where the shared library goes.
        command: A GCC, and arguments for it.
        processor: The kind of processor, as GCC's ``-march`` names it.

    Raises:
        CompilerError: It cannot be compiled.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        sources = map(str, sorted(FOLDER.glob("*.cpp")))
        done = _run([*command, *_FLAGS, f"-march={processor}", *sources, "-o", str(made)])
        if done.returncode != 0:
            message = done.stderr.strip()[-_MESSAGE_LENGTH:]
            raise CompilerError(f"{shlex.join(command)} failed: {message}")
        with made.open("rb") as file:
            os.fsync(file.fileno())  # so that a power failure cannot leave half a library
        made.replace(path)


def fingerprint(compilers: Sequence[Compiler]) -> str:
    """A name for what the result depends on: the code, the compilers and the processor."""
    parts = [platform.machine(), *_FLAGS]
    parts += [text for compiler in compilers for text in (*compiler.command, compiler.version)]
    parts += [path.read_text("utf-8") for path in sorted(FOLDER.glob("*.[ch]*"))]
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
        parts += sorted({x for x in lines if x.startswith(("flags", "Features", "model name"))})
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, encoding="utf-8", errors="replace"
    )
