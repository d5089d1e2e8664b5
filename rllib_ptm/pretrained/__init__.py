"""Policies that are trained already, by name.

Each has a folder here: its policy as plain arrays, the facts of its training, its results, and a
model card that is made from these. Where the folder of a checkpoint's policy is expected, such a
name may stand in its place: in ``rllib evaluate``, ``load_policy`` and ``warm_start``.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rllib_ptm.checks.errors import InputError, nearest_name, unknown_name

logger = logging.getLogger(__name__)

_HERE = Path(__file__).parent
CARD, TRAINING = "card.md", "training.json"
RESULTS, RESULTS_OF_OTHER_TASKS = "results.json", "results_of_other_tasks.json"


def names() -> tuple[str, ...]:
    """The names of the pretrained policies."""
    return tuple(sorted(file.parent.name for file in _HERE.glob(f"*/{CARD}")))


def folder_of(name: str) -> Path:
    """The folder of one pretrained policy, whatever the working directory holds.

    Raises:
        InputError: There is none of that name.
    """
    if name not in names():
        raise unknown_name("pretrained policy", name, names())
    return _HERE / name


def card(name: str) -> str:
    """The model card, as Markdown.

    Raises:
        InputError: There is none of that name, or its file is damaged.
    """
    with _readable(name, CARD) as file:
        return file.read_text(encoding="utf-8")


def training(name: str) -> dict[str, Any]:
    """The facts of a training: what it played, how and how long; raises as ``card`` does."""
    with _readable(name, TRAINING) as file:
        facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return facts


def results(name: str) -> list[dict[str, Any]]:
    """The results on the trained tasks, as ``rllib evaluate --out`` wrote them; see ``card``."""
    with _readable(name, RESULTS) as file:
        rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        return rows


def find_policy(written: Any, users_folder: str | os.PathLike[str] = ".") -> Any:
    """What a user means by a path or a name.

    A text without a slash is a name, unless the user's folder holds a folder of that name. Then
    that is taken, and the log says so. A ``Path`` is always a path.

    Args:
        written: What the user wrote.
        users_folder: The user's working directory.

    Returns:
        The folder of the pretrained policy, or ``written`` if it is a path.
    """
    if not _is_word(written) or written not in names():
        return written
    if note := shadowed(written, users_folder):
        logger.warning(note)
        return written
    return folder_of(written)


def is_name(written: Any, users_folder: str | os.PathLike[str] = ".") -> bool:
    """Whether ``find_policy`` takes it for the name of a pretrained policy."""
    return _is_word(written) and written in names() and not shadowed(written, users_folder)


def shadowed(written: Any, users_folder: str | os.PathLike[str] = ".") -> str:
    """Says which folder is taken in place of a pretrained policy; empty if none is."""
    if not _is_word(written) or written not in names():
        return ""
    folder = os.path.abspath(os.path.join(users_folder, written))
    if not os.path.isdir(folder):
        return ""
    return (
        f"{written}: the folder {folder} is taken; the pretrained policy of this name is in "
        f"{folder_of(written)}"
    )


def name_hint(
    written: Any, others: Iterable[str] = (), users_folder: str | os.PathLike[str] = "."
) -> str:
    """A hint for a message: the policy that the user may mean. Empty if there is none.

    Args:
        written: What the user wrote.
        others: Further names that the user may mean.
        users_folder: The user's working directory.
    """
    path, folder = os.path.expanduser(str(written)), os.path.abspath(users_folder)
    place = os.path.join(folder, path)
    if "://" in path or is_name(written, folder) or os.path.lexists(place):
        return ""
    parent, last = os.path.split(os.path.abspath(place))
    if last in names():
        return f"; did you mean the pretrained policy {last!r}?"
    if parent != folder:
        return ""
    nearest = nearest_name(last, [*names(), *others])
    meant = f"; did you mean {nearest!r}?" if nearest else ""
    return f", and no pretrained policy of this name ({', '.join(names())}){meant}"


def whole_hint(written: Any) -> str:
    """A hint for a message: a pretrained policy has the name, but a checkpoint is needed."""
    name = os.path.basename(str(written).rstrip("/"))
    if name not in names() or os.path.lexists(os.path.expanduser(str(written))):
        return ""
    return f"; the pretrained policy {name!r} is no checkpoint: load_policy and warm_start take it"


@contextmanager
def _readable(name: str, file: str) -> Iterator[Path]:
    """The path of a policy's file; names it if it cannot be read within the block."""
    folder = folder_of(name)
    try:
        yield folder / file
    except (OSError, ValueError) as error:  # also what JSON and UTF-8 raise
        raise InputError(
            f"pretrained policy {name}: {folder / file} cannot be read; install rllib-ptm again"
        ) from error


def _is_word(written: Any) -> bool:
    return isinstance(written, str) and not {"/", os.sep, "~"} & set(written)
