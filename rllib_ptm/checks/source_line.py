"""Where in a user's own code an error arose, for messages of one line."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

# What is no code of the user's: the standard library, installed packages, and this package.
_NOT_OWN = (
    *(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")),
    Path(__file__).resolve().parents[1],
)


def source_line(error: BaseException) -> str:
    """The last line of the user's own code that led to an error, as ``game.py, line 12``.

    Args:
        error: The error, as it was caught.

    Returns:
        The file's name and the line; empty if no code of the user's took part.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename).resolve()
        if not any(path.is_relative_to(folder) for folder in _NOT_OWN):
            return f"{path.name}, line {frame.lineno}"
    return ""
