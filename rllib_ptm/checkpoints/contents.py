"""``contents.json``: the list of a checkpoint's files, with sizes and checksums.

The list is written last and checked first. A truncated, damaged or foreign folder is refused before
any file is loaded. A folder with an unlisted file that RLlib would load is refused too.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow.fs

from rllib_ptm.checks.errors import InputError

CONTENTS_FILE = "contents.json"
# The kinds of folders, and the version of each kind's format.
CHECKPOINT, POLICY_ALONE = "rllib_ptm checkpoint", "rllib_ptm policy"
VERSION = 4
VERSIONS = {CHECKPOINT: VERSION, POLICY_ALONE: 1}
_CHUNK_BYTES = 1 << 22

# What RLlib and PTM look for in a checkpoint's folder, without the ending. A user's own file or
# folder of another name does no harm there.
RESERVED = frozenset(
    {
        "algorithm_state",
        "class_and_ctor_args",
        "rllib_checkpoint",
        "learner_group",
        "env_runner",
        "eval_env_runner",
        "env_to_module_connector",
        "module_to_env_connector",
        "episodes_in_progress",
        "replay_buffer",
        "policy",
    }
)
_OLD_CHECKPOINT = re.compile(r"checkpoint-\d+")  # a file of RLlib's first format


class CheckpointError(InputError):
    """A checkpoint cannot be read or written; the message says why, in one line."""


class Contents(NamedTuple):
    """What ``contents.json`` says.

    Attributes:
        files: File name -> size in bytes, and checksum (None on an object store, which is slow to
            read).
        progress: How far the training was, by name.
        kind: ``CHECKPOINT``, or ``POLICY_ALONE``: a policy that was taken out of one.
    """

    files: Mapping[str, tuple[int, int | None]]
    progress: Mapping[str, int]
    kind: str = CHECKPOINT


def is_local(filesystem: Any) -> bool:
    """Whether a file system is that of this machine, where folders can be moved."""
    return isinstance(filesystem, pyarrow.fs.LocalFileSystem)


def write_contents(
    filesystem: Any,
    folder: str,
    progress: Mapping[str, int],
    others: Collection[str] = (),
    kind: str = CHECKPOINT,
) -> Contents:
    """Writes the list of files; without checksums on an object store.

    Args:
        filesystem: The file system.
        folder: The checkpoint's folder.
        progress: How far the training is, by name.
        others: Names in this folder that are not part of the checkpoint.
        kind: What the folder holds.
    """
    files = {
        name: (size, _checksum(filesystem, f"{folder}/{name}") if is_local(filesystem) else None)
        for name, size in _files(filesystem, folder)
        if name.partition("/")[0] not in others
    }
    contents = Contents(files, dict(progress), kind)
    with filesystem.open_output_stream(f"{folder}/{CONTENTS_FILE}") as stream:
        stream.write(_as_bytes(contents))
    return contents


def read_contents(
    filesystem: Any, folder: str, hint: str = "", kinds: Collection[str] = (CHECKPOINT,)
) -> Contents:
    """Reads the list of files.

    Args:
        filesystem: The file system.
        folder: The checkpoint's folder.
        hint: What the message adds if there is no list.
        kinds: What the folder may hold.

    Raises:
        CheckpointError: There is no list, it is one of another kind, or it was altered.
    """
    found = filesystem.get_file_info(folder)
    if found.type == pyarrow.fs.FileType.NotFound:
        raise CheckpointError(f"{folder}: there is no such folder")
    if found.is_file:
        raise CheckpointError(f"{folder}: expected a checkpoint's folder, found a file")
    listed = filesystem.get_file_info(f"{folder}/{CONTENTS_FILE}")
    if listed.type not in (pyarrow.fs.FileType.File, pyarrow.fs.FileType.NotFound):
        raise CheckpointError(f"{folder}: {CONTENTS_FILE} is not a file")  # reading a pipe waits
    try:
        with filesystem.open_input_stream(f"{folder}/{CONTENTS_FILE}") as stream:
            written = stream.read()
        parsed = json.loads(written)
        kind = _checked_kind(folder, parsed["format"], parsed["version"], kinds)
        files = {name: (int(size), sum_) for name, (size, sum_) in parsed["files"].items()}
        contents = Contents(files, dict(parsed["progress"]), kind)
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder}: expected a checkpoint of PTM, but {CONTENTS_FILE} is missing: something "
            f"else wrote it, or it was cut off while it was written or copied{hint}"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{folder}: {CONTENTS_FILE} cannot be read: {error}") from None
    except OSError as error:
        raise _unreadable(folder, CONTENTS_FILE, error) from None
    if written != _as_bytes(contents):
        raise CheckpointError(f"{folder}: the checkpoint is damaged: {CONTENTS_FILE} was altered")
    return contents


def refuse_missing(folder: str, contents: Contents, must_have: Collection[str]) -> None:
    """Checks that the list names what must be there.

    Args:
        folder: The checkpoint's folder, for the message.
        contents: The list.
        must_have: Names; one without an ending stands for a file with any ending.

    Raises:
        CheckpointError: One is missing.
    """
    names = {*contents.files, *(os.path.splitext(name)[0] for name in contents.files)}
    if missing := [name for name in must_have if name not in names]:
        raise CheckpointError(
            f"{folder}: the checkpoint is incomplete: {CONTENTS_FILE} does not list {missing[0]}"
        )


def other_files(filesystem: Any, folder: str, contents: Contents) -> tuple[str, ...]:
    """What a user keeps in a checkpoint's folder.

    Args:
        filesystem: The file system.
        folder: The checkpoint's folder.
        contents: The list of its files.

    Returns:
        Names of files and folders in this folder that are not part of the checkpoint.

    Raises:
        CheckpointError: A file or folder is not listed, and RLlib might load it.
    """
    folders = {name[:end] for name in contents.files for end in _slashes(name)}
    known, parts = (
        {CONTENTS_FILE, *contents.files, *folders},
        {name.split("/")[0] for name in folders},
    )
    others = []
    for name in sorted(_entries(filesystem, folder)):
        first, _, below = name.partition("/")
        if name in known or (below and first not in parts):
            continue
        if first in parts or first.split(".")[0] in RESERVED or _OLD_CHECKPOINT.match(first):
            raise CheckpointError(
                f"{folder}: {name} is not part of the checkpoint, and RLlib might load it: move it "
                f"elsewhere"
            )
        others.append(first)
    return tuple(others)


def read_files(
    filesystem: Any, folder: str, contents: Contents, wanted: Collection[str]
) -> dict[str, bytes]:
    """Checks every file of a checkpoint.

    Args:
        filesystem: The file system.
        folder: The checkpoint's folder.
        contents: The list of its files.
        wanted: Names of the files whose content is returned.

    Raises:
        CheckpointError: A file is missing or was altered.
    """
    content = {}
    for name, (size, checksum) in contents.files.items():
        found = filesystem.get_file_info(f"{folder}/{name}")
        if not found.is_file:
            raise CheckpointError(f"{folder}: the checkpoint is incomplete: {name} is missing")
        if found.size != size:
            raise CheckpointError(
                f"{folder}: the checkpoint is damaged: {name} has {found.size} of {size} bytes"
            )
        try:
            if name in wanted:
                with filesystem.open_input_stream(f"{folder}/{name}") as stream:
                    content[name] = stream.read()
                found_sum = zlib.crc32(content[name])
            elif checksum is not None:
                found_sum = _checksum(filesystem, f"{folder}/{name}")
        except OSError as error:
            raise _unreadable(folder, name, error) from None
        if checksum is not None and found_sum != checksum:
            raise CheckpointError(f"{folder}: the checkpoint is damaged: {name} was altered")
    return content


def _checked_kind(folder: str, found: Any, version: Any, kinds: Collection[str]) -> str:
    """The kind of a folder: checkpoint or policy. Raises if it is not wanted, or too old or new."""
    if found == POLICY_ALONE and found not in kinds:
        raise CheckpointError(
            f"{folder}: expected a whole checkpoint, found a policy alone, which only "
            f"rllib evaluate, load_policy and warm_start take"
        )
    kind = str(found) if found in kinds else CHECKPOINT
    if (found, version) != (kind, VERSIONS[kind]):
        raise CheckpointError(
            f"{folder}: expected a {kind} of version {VERSIONS[kind]}, found "
            f"{found!r} of version {version!r}"
        )
    return kind


def _as_bytes(contents: Contents) -> bytes:
    """The file's content: what is read must be this to the byte, so every change is found."""
    listed = {"format": contents.kind, "version": VERSIONS[contents.kind]}
    listed |= {"files": contents.files, "progress": contents.progress}
    return json.dumps(
        {**listed, "checksum": zlib.crc32(json.dumps(listed).encode())}, indent=1
    ).encode()


def _files(filesystem: Any, folder: str) -> list[tuple[str, int]]:
    """Names and sizes of all files below the folder."""
    found = filesystem.get_file_info(pyarrow.fs.FileSelector(folder, recursive=True))
    return sorted((f.path[len(folder) :].lstrip("/"), f.size) for f in found if f.is_file)


def _entries(filesystem: Any, folder: str) -> Iterator[str]:
    """Yields the names of all files, folders and symbolic links below a folder.

    A link to a folder has a slash at its end: it is no folder of a checkpoint.
    """
    if not is_local(filesystem):
        found = filesystem.get_file_info(pyarrow.fs.FileSelector(folder, recursive=True))
        yield from (info.path[len(folder) :].lstrip("/") for info in found)
        return
    for parent, folders, files in os.walk(folder):  # pyarrow leaves out links that lead nowhere
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            is_link = name in folders and os.path.islink(path)
            yield os.path.relpath(path, folder) + ("/" if is_link else "")


def _checksum(filesystem: Any, file: str) -> int:
    checksum = 0
    with filesystem.open_input_stream(file) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def _slashes(name: str) -> list[int]:
    return [place for place, letter in enumerate(name) if letter == "/"]


def _unreadable(folder: str, name: str, error: OSError) -> CheckpointError:
    return CheckpointError(f"{folder}: {name} cannot be read: {error.strerror or error}")
