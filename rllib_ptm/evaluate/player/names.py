"""What policies are called in a page or a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def policy_names(checkpoints: Sequence[str | Path]) -> list[str]:
    """Short names: the last part of each path, with as many more as tell them apart.

    Args:
        checkpoints: Folders, or names of pretrained policies.
    """
    parts = [Path(checkpoint).parts for checkpoint in checkpoints]
    longest = max(map(len, parts))
    for count in range(1, longest + 1):
        names = ["/".join(own[-count:]) for own in parts]
        if len(set(names)) == len(set(map(str, checkpoints))):
            break
    if len(set(names)) < len(names):  # the same checkpoint twice
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return names
