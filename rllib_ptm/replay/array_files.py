"""Files of plain numpy arrays, on any file system that Ray can write to; never a pickle."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import numpy as np
import pyarrow.fs

Arrays = dict[str, np.ndarray]  # arrays by name


def locate(path: Any, filesystem: Any) -> tuple[Any, str]:
    """Resolves a path.

    Args:
        path: A folder, as a path or a URI.
        filesystem: Its file system; None = the one of the URI.

    Returns:
        The file system, and the folder's path on it.
    """
    folder = pathlib.PurePath(path).as_posix() if isinstance(path, pathlib.PurePath) else str(path)
    if filesystem is None:
        return pyarrow.fs.FileSystem.from_uri(folder)
    return filesystem, folder


def write_arrays(filesystem: Any, file: str, arrays: Arrays) -> None:
    """Writes arrays into one file in numpy's .npz format."""
    stream = io.BytesIO()
    columns: dict[str, Any] = dict(arrays)
    np.savez(stream, **columns)
    with filesystem.open_output_stream(file) as output:
        output.write(stream.getbuffer())


def read_arrays(filesystem: Any, file: str) -> Arrays:
    """Reads what ``write_arrays`` wrote; runs no code from the file."""
    with filesystem.open_input_stream(file) as stream:
        content = io.BytesIO(stream.read())
    with np.load(content, allow_pickle=False) as arrays:
        return dict(arrays)
