"""Checks the pickles of a checkpoint before RLlib loads them.

RLlib keeps states in pickles, and loading a pickle can run any code. PTM's states hold only numpy
arrays and Python's own types, so a pickle that names anything else is refused. The pickles with
constructor arguments (``class_and_ctor_args.pkl``) must name classes; restoring into an existing
algorithm never opens them.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import pyarrow.fs
from ray.rllib.utils.checkpoints import Checkpointable

from rllib_ptm.checkpoints.contents import CheckpointError
from rllib_ptm.replay.array_files import locate

# What pickles of arrays, dicts, lists and numbers name, in old and new versions of numpy.
SAFE_NAMES = {
    ("collections", "OrderedDict"),
    ("collections", "deque"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *(
        (f"numpy.{core}.multiarray", name)
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class _SafeUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in SAFE_NAMES:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


def read_state(path: Any, filesystem: Any = None, *, trusted: bool = False) -> Any:
    """Reads one pickle of a state.

    Args:
        path: The file.
        filesystem: Its file system; None = the one that ``path`` names.
        trusted: Whether to load what could run code.

    Raises:
        UnpicklingError: It names a function or class that loading it would call.
    """
    filesystem, file = locate(path, filesystem)
    with filesystem.open_input_stream(file) as stream:
        content = io.BytesIO(stream.read())
    return (pickle.Unpickler if trusted else _SafeUnpickler)(content).load()


def refuse_code(path: Any, filesystem: Any = None) -> None:
    """Reads every state pickle below a folder, without running code.

    Args:
        path: The folder.
        filesystem: Its file system; None = the one that ``path`` names.

    Raises:
        CheckpointError: A pickle names a function or class that loading it would call.
    """
    filesystem, folder = locate(path, filesystem)
    found = filesystem.get_file_info(pyarrow.fs.FileSelector(folder, recursive=True))
    for info in found:
        constructor = info.base_name == Checkpointable.CLASS_AND_CTOR_ARGS_FILE_NAME
        if info.extension != "pkl" or constructor:
            continue
        try:
            read_state(info.path, filesystem)
        except pickle.UnpicklingError as error:
            raise CheckpointError(
                f"{info.path}: expected numbers, text and arrays only, found {error}, which "
                f"loading would run; if you trust it: restore_from_path(path, trusted=True)"
            ) from None
