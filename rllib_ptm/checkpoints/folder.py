"""Writes checkpoint folders completely or not at all, and checks them before they are loaded.

A checkpoint is written into a draft folder and moved to its place when it is complete. A crash
while saving leaves the previous checkpoint unchanged. The last file written, ``contents.json``,
lists all others; see ``contents``. What else a user keeps in the folder stays there.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow.fs

from rllib_ptm.checkpoints.contents import (
    CHECKPOINT,
    CONTENTS_FILE,
    POLICY_ALONE,
    CheckpointError,
    is_local,
    other_files,
    read_contents,
    read_files,
    refuse_missing,
    write_contents,
)
from rllib_ptm.checks.errors import located
from rllib_ptm.replay.array_files import locate


@contextlib.contextmanager
def whole_checkpoint(
    path: Any,
    filesystem: Any = None,
    progress: Mapping[str, int] | None = None,
    must_have: Collection[str] = (),
    kind: str = CHECKPOINT,
) -> Iterator[tuple[Any, str, str]]:
    """A context in which a checkpoint is written; it takes its place at the end of the block.

    On a local file system a checkpoint that exists at ``path`` is replaced in one step, or not at
    all after an error or a crash. An object store cannot move folders: there the files are
    written in place, ``contents.json`` last, and an interrupted checkpoint is refused.

    Args:
        path: The checkpoint's folder; None = a new folder in the system's temporary folder.
        filesystem: The file system; None = the one that ``path`` names.
        progress: How far the training is, by name; see ``saved_progress``.
        must_have: Files without which the checkpoint is not complete; see ``check_checkpoint``.
        kind: What is written, and what may be at ``path``; see ``Contents``.

    Yields:
        The file system, the folder to write into, and the checkpoint's folder.

    Raises:
        CheckpointError: ``path`` holds other files without a checkpoint, or between a checkpoint's
            own; or the checkpoint is not complete.
    """
    filesystem, final = locate(
        path or pathlib.Path(tempfile.gettempdir(), uuid.uuid4().hex), filesystem
    )
    _restore_replaced(filesystem, final)
    before, kept = _what_is_there(filesystem, final, kind)
    if not is_local(filesystem):
        _delete(filesystem, final, before)
        yield filesystem, final, final
        contents = write_contents(filesystem, final, progress or {}, kept, kind)
        refuse_missing(final, contents, must_have)
        return
    draft = _beside(final, "draft")
    shutil.rmtree(draft, ignore_errors=True)  # left by a process that was killed
    try:
        yield filesystem, draft, final
        contents = write_contents(filesystem, draft, progress or {}, kind=kind)
        refuse_missing(final, contents, must_have)
        _, kept = _what_is_there(filesystem, final, kind)  # it may be more by now
        _keep(kept, final, draft)
        _flush(draft)
        _replace(draft, final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_checkpoint(
    path: Any,
    filesystem: Any = None,
    *,
    must_have: Collection[str] = (),
    of_policy: Collection[str] = (),
    read: Collection[str] = (),
) -> dict[str, bytes]:
    """Checks that a folder holds a complete checkpoint; loads and runs nothing from it.

    Args:
        path: The checkpoint's folder.
        filesystem: The file system; None = the one that ``path`` names.
        must_have: Files that this kind of checkpoint always has; a name without an ending stands
            for a file with any ending.
        of_policy: The files of a policy alone, if that may stand in a checkpoint's place.
        read: Names of files whose content is wanted.

    Returns:
        The content of these files, from the bytes that were checked.

    Raises:
        CheckpointError: The folder does not exist, is not a checkpoint of PTM, a file is missing
            or damaged, or there is a file more that RLlib would load.
    """
    filesystem, folder = locate(path, filesystem)
    _restore_replaced(filesystem, folder)
    kinds = (CHECKPOINT, POLICY_ALONE) if of_policy else (CHECKPOINT,)
    contents = read_contents(filesystem, folder, _hint(folder), kinds)
    refuse_missing(folder, contents, must_have if contents.kind == CHECKPOINT else of_policy)
    other_files(filesystem, folder, contents)
    return read_files(filesystem, folder, contents, read)


def saved_progress(folder: pathlib.Path) -> dict[str, int]:
    """How far the training was when a checkpoint of this machine was saved; empty if unknown."""
    try:
        return dict(read_contents(pyarrow.fs.LocalFileSystem(), str(folder)).progress)
    except CheckpointError:
        return {}


def _what_is_there(
    filesystem: Any, folder: str, kind: str
) -> tuple[Collection[str], tuple[str, ...]]:
    """The names of the files of the checkpoint in a folder, and of what else is in it."""
    found = filesystem.get_file_info(pyarrow.fs.FileSelector(folder, allow_not_found=True))
    names = sorted(info.base_name for info in found)
    if not names:
        return (), ()
    if CONTENTS_FILE not in names:
        raise CheckpointError(
            f"{folder}: a checkpoint takes the place of another one only, but this folder holds "
            f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}; name a folder of its own"
        )
    with located("a checkpoint cannot be saved over one whose files are unknown: "):
        contents = read_contents(filesystem, folder, kinds=(kind,))
    return contents.files, other_files(filesystem, folder, contents)


def _delete(filesystem: Any, folder: str, names: Collection[str]) -> None:
    """Deletes the files and folders of a checkpoint, its list first."""
    files = [CONTENTS_FILE, *(name for name in names if "/" not in name)] if names else []
    for name in files:
        filesystem.delete_file(f"{folder}/{name}")
    for name in {name.split("/")[0] for name in names if "/" in name}:
        filesystem.delete_dir(f"{folder}/{name}")


def _keep(names: Collection[str], final: str, draft: str) -> None:
    """Puts the user's files and folders into the draft too; both folders then have them."""
    for name in names:
        source, target = os.path.join(final, name), os.path.join(draft, name)
        if os.path.lexists(target):
            raise CheckpointError(
                f"{final}: {name} is not part of the checkpoint there, and the new checkpoint has "
                f"a file of this name: move it elsewhere"
            )
        if os.path.isdir(source) and not os.path.islink(source):
            shutil.copytree(source, target, symlinks=True, copy_function=_link)
        else:
            _link(source, target)


def _link(source: str, target: str) -> None:
    """A second name for a file, which costs no space; a copy where there are no such names."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


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
    if is_local(filesystem) and not os.path.exists(final):
        with contextlib.suppress(FileNotFoundError):
            os.rename(_beside(final, "replaced"), final)


def _flush(folder: str) -> None:
    """Syncs all files to disk, so that the draft also survives a power failure."""
    for parent, _, names in os.walk(folder):
        for entry in (*(os.path.join(parent, name) for name in names), parent):
            if os.path.islink(entry) or not (os.path.isfile(entry) or os.path.isdir(entry)):
                continue  # it has no content to sync
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
