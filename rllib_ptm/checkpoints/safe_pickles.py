"""Looks into the pickles of a checkpoint before RLlib loads them: numbers and text, no code.

RLlib keeps states in pickles, and to load one is to run what it says. Those of PTM hold nothing
but numpy arrays and Python's own types, so anything else is refused unread. The constructors'
pickles (``class_and_ctor_args.pkl``) hold classes by their nature; restoring into an algorithm
that stands already never opens them.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import pyarrow.fs
from ray.rllib.utils.checkpoints import Checkpointable

from rllib_ptm.checkpoints.folder import CheckpointError
from rllib_ptm.replay.array_files import locate

# What a pickle of arrays, dicts, lists and numbers needs, under numpy's old and new names.
PLAIN = {
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


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PLAIN:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


def refuse_code(path: Any, filesystem: Any = None) -> None:
    """Reads every state pickle below a folder, and allows it plain values only.

    Raises:
        CheckpointError: A pickle names something else, which loading it would run.
    """
    filesystem, folder = locate(path, filesystem)
    found = filesystem.get_file_info(pyarrow.fs.FileSelector(folder, recursive=True))
    for info in found:
        constructor = info.base_name == Checkpointable.CLASS_AND_CTOR_ARGS_FILE_NAME
        if info.extension != "pkl" or constructor:
            continue
        with filesystem.open_input_stream(info.path) as stream:
            content = io.BytesIO(stream.read())
        try:
            _PlainUnpickler(content).load()
        except pickle.UnpicklingError as error:
            raise CheckpointError(
                f"{info.path}: expected numbers, text and arrays only, found {error}, which "
                f"loading would run; if you trust it: restore_from_path(path, trusted=True)"
            ) from None
