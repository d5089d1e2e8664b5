"""Files of plain numpy arrays, on any file system that Ray can write to; never a pickle."""

from __future__ import annotations

import io
import os
import pathlib
import re
from typing import Any
from urllib.request import url2pathname

import numpy as np
import pyarrow.fs

from rllib_ptm.checks.errors import InputError

Arrays = dict[str, np.ndarray]  # arrays by name

# A path object has one slash where the URI has three. A host has no meaning here.
_LOCAL_URI = re.compile(r"file:(//(localhost)?)?/", re.IGNORECASE)


def locate(path: Any, filesystem: Any = None) -> tuple[Any, str]:
    """Resolves a path.

    Args:
        path: A folder: a path of this machine, relative or with ``~`` too, or a URI.
        filesystem: Its file system; None = the one of the URI, or this machine's.

    Returns:
        The file system, and the folder's path on it, without a slash at its end.

    Raises:
        InputError: It is no path, or there is no such kind of URI.
    """
    _check_is_path(path)
    folder = pathlib.PurePath(path).as_posix() if isinstance(path, pathlib.PurePath) else str(path)
    if filesystem is None:
        if not _is_remote(folder):
            return pyarrow.fs.LocalFileSystem(), str(local_path(folder))
        try:
            filesystem, folder = pyarrow.fs.FileSystem.from_uri(folder)
        except ValueError as error:  # pyarrow's ArrowInvalid
            raise InputError(f"{folder}: expected a folder or a URI: {error}") from None
    return filesystem, folder.rstrip("/") or "/"


def local_path(path: str | pathlib.PurePath) -> pathlib.Path:
    """A path of this machine, also one with ``~`` or ``file://``, without symbolic links.

    Raises:
        InputError: It is no path.
    """
    _check_is_path(path)
    text = str(path)
    if local_uri := _LOCAL_URI.match(text):
        text = url2pathname(text[local_uri.end() - 1 :])
    return pathlib.Path(os.path.expanduser(text)).resolve()


def is_path(path: Any) -> bool:
    """Whether this can be a path or a URI. An empty text would be the working directory."""
    return isinstance(path, (str, os.PathLike)) and bool(str(path).strip())


def _check_is_path(path: Any) -> None:
    if not is_path(path):
        raise InputError(f"expected a folder or a URI, found {path!r:.100}")


def _is_remote(path: str) -> bool:
    return "://" in path and not _LOCAL_URI.match(path)


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
        return parse_arrays(stream.read())


def parse_arrays(content: bytes) -> Arrays:
    """Reads the content of a file that ``write_arrays`` wrote; runs no code from it."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
