"""Writes checkpoint folders completely or not at all, and checks them before they are loaded.

A checkpoint is written into a draft folder and moved to its place when it is complete. A crash
while saving leaves the previous checkpoint unchanged. The last file written, ``contents.json``,
lists all others; a truncated, damaged or foreign folder is refused before any file is loaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import uuid
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.fs

from rllib_ptm.envs.errors import InputError
from rllib_ptm.replay.array_files import locate

CONTENTS_FILE = "contents.json"
FORMAT, VERSION = "rllib_ptm checkpoint", 1
_CHUNK_BYTES = 1 << 22


class CheckpointError(InputError):
    """A checkpoint cannot be read or written; the message says why, in one line."""


@contextlib.contextmanager
def whole_checkpoint(
    path: Any, filesystem: Any = None, progress: Mapping[str, int] | None = None
) -> Iterator[tuple[Any, str, str]]:
    """A context in which a checkpoint is written; it takes its place at the end of the block.

    On a local file system a checkpoint that exists at ``path`` is replaced in one step, or not at
    all after an error or a crash. An object store cannot move folders: there the files are
    written in place, ``contents.json`` last, and an interrupted checkpoint is refused.

    Args:
        path: The checkpoint's folder; None = a new folder in the system's temporary folder.
        filesystem: The file system; None = the one that ``path`` names.
        progress: How far the training is, by name; see ``saved_progress``.

    Yields:
        The file system, the folder to write into, and the checkpoint's folder.

    Raises:
        CheckpointError: ``path`` holds other files, which would be lost.
    """
    filesystem, final = _place(
        path or pathlib.Path(tempfile.gettempdir(), uuid.uuid4().hex), filesystem
    )
    _restore_replaced(filesystem, final)
    _refuse_other_files(filesystem, final)
    if not isinstance(filesystem, pyarrow.fs.LocalFileSystem):
        if filesystem.get_file_info(f"{final}/{CONTENTS_FILE}").is_file:
            filesystem.delete_file(f"{final}/{CONTENTS_FILE}")
        yield filesystem, final, final
        _write_contents(filesystem, final, progress or {})
        return
    draft = _beside(final, "draft")
    shutil.rmtree(draft, ignore_errors=True)  # left by a process that was killed
    try:
        yield filesystem, draft, final
        _write_contents(filesystem, draft, progress or {})
        _flush(draft)
        _replace(draft, final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_checkpoint(path: Any, filesystem: Any = None) -> None:
    """Checks that a folder holds a complete checkpoint; loads and runs nothing from it.

    Args:
        path: The checkpoint's folder.
        filesystem: The file system; None = the one that ``path`` names.

    Raises:
        CheckpointError: The folder does not exist, is not a checkpoint of PTM, or a file is
            missing or damaged.
    """
    filesystem, folder = _place(path, filesystem)
    _restore_replaced(filesystem, folder)
    for name, (size, checksum) in _read_contents(filesystem, folder).items():
        found = filesystem.get_file_info(f"{folder}/{name}")
        if not found.is_file:
            raise CheckpointError(f"{folder}: the checkpoint is incomplete: {name} is missing")
        if found.size != size:
            raise CheckpointError(
                f"{folder}: the checkpoint is damaged: {name} has {found.size} of {size} bytes"
            )
        if checksum is not None and _checksum(filesystem, f"{folder}/{name}") != checksum:
            raise CheckpointError(f"{folder}: the checkpoint is damaged: {name} was altered")


def saved_progress(folder: pathlib.Path) -> dict[str, int]:
    """How far the training was when a checkpoint of this machine was saved; empty if unknown."""
    try:
        progress = json.loads((folder / CONTENTS_FILE).read_text(encoding="utf-8"))["progress"]
        return {str(name): int(value) for name, value in progress.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _read_contents(filesystem: Any, folder: str) -> dict[str, tuple[int, int | None]]:
    """File name -> size in bytes, and checksum if there is one."""
    found = filesystem.get_file_info(folder)
    if found.type == pyarrow.fs.FileType.NotFound:
        raise CheckpointError(f"{folder}: there is no such folder")
    if found.is_file:
        raise CheckpointError(f"{folder}: expected a checkpoint's folder, found a file")
    try:
        with filesystem.open_input_stream(f"{folder}/{CONTENTS_FILE}") as stream:
            contents = json.loads(stream.read())
        if contents["format"] != FORMAT or contents["version"] != VERSION:
            raise CheckpointError(
                f"{folder}: expected a {FORMAT} of version {VERSION}, found "
                f"{contents['format']!r} of version {contents['version']!r}"
            )
        return {name: (int(size), sum_) for name, (size, sum_) in contents["files"].items()}
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder}: expected a checkpoint of PTM, but {CONTENTS_FILE} is missing: something "
            f"else wrote it, or it was cut off while it was written or copied{_hint(folder)}"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{folder}: {CONTENTS_FILE} cannot be read: {error}") from None


def _write_contents(filesystem: Any, folder: str, progress: Mapping[str, int]) -> None:
    """Writes the list of files; without checksums on an object store, which is slow to read."""
    local = isinstance(filesystem, pyarrow.fs.LocalFileSystem)
    files = {
        name: (size, _checksum(filesystem, f"{folder}/{name}") if local else None)
        for name, size in _files(filesystem, folder)
    }
    contents = {
        "format": FORMAT,
        "version": VERSION,
        "progress": dict(progress),
        "files": files,
    }
    with filesystem.open_output_stream(f"{folder}/{CONTENTS_FILE}") as stream:
        stream.write(json.dumps(contents, indent=1).encode())


def _files(filesystem: Any, folder: str) -> list[tuple[str, int]]:
    """Names and sizes of all files below the folder."""
    found = filesystem.get_file_info(pyarrow.fs.FileSelector(folder, recursive=True))
    return sorted((f.path[len(folder) :].lstrip("/"), f.size) for f in found if f.is_file)


def _checksum(filesystem: Any, file: str) -> int:
    checksum = 0
    with filesystem.open_input_stream(file) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def _refuse_other_files(filesystem: Any, folder: str) -> None:
    found = filesystem.get_file_info(pyarrow.fs.FileSelector(folder, allow_not_found=True))
    names = sorted(info.base_name for info in found)
    if names and CONTENTS_FILE not in names:
        raise CheckpointError(
            f"{folder}: a checkpoint replaces its folder as a whole, but this one holds "
            f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}; name a folder of its own"
        )


def _replace(draft: str, final: str) -> None:
    """Moves the draft to its place, which holds a checkpoint, is empty, or does not exist."""
    aside = _beside(final, "replaced")
    shutil.rmtree(aside, ignore_errors=True)
    if os.path.exists(os.path.join(final, CONTENTS_FILE)):
        # After a crash between the two moves, _restore_replaced moves it back.
        os.rename(final, aside)
    os.rename(draft, final)
    shutil.rmtree(aside, ignore_errors=True)


def _restore_replaced(filesystem: Any, final: str) -> None:
    """Moves a replaced checkpoint back if the new one never took its place."""
    if isinstance(filesystem, pyarrow.fs.LocalFileSystem) and not os.path.exists(final):
        with contextlib.suppress(FileNotFoundError):
            os.rename(_beside(final, "replaced"), final)


def _flush(folder: str) -> None:
    """Syncs all files to disk, so that the draft also survives a power failure."""
    for parent, _, names in os.walk(folder):
        for entry in (*(os.path.join(parent, name) for name in names), parent):
            handle = os.open(entry, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _beside(folder: str, purpose: str) -> str:
    parent, name = os.path.split(folder)
    return os.path.join(parent, f".{name}.{purpose}")


def _hint(folder: str) -> str:
    """Suggests the newest checkpoint below a folder, such as a Tune experiment's."""
    below = pathlib.Path(folder)
    found = [*below.glob(f"*/{CONTENTS_FILE}"), *below.glob(f"*/*/{CONTENTS_FILE}")]
    if not found:
        return ""
    newest = max(found, key=lambda file: file.stat().st_mtime).parent
    return f"; did you mean {newest}?"


def _place(path: Any, filesystem: Any) -> tuple[Any, str]:
    """The file system and the folder; a relative path is a local one."""
    if filesystem is None and "://" not in str(path):
        path = pathlib.Path(path).resolve()
    filesystem, folder = locate(path, filesystem)
    return filesystem, folder.rstrip("/") or "/"
