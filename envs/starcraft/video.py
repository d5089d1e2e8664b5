"""Writes films of battles from their units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..film import check_film_file
from ..film import write_film as write_frames
from .render import video_frames
from .units import Units


def write_video(
    path: str | Path,
    battles: Mapping[str, Sequence[Units]],
    *,
    width: int = 480,
    frames_per_second: float = 4.0,
) -> None:
    """Writes one film of several battles. The last frame of each stays for two seconds.

    Args:
        path: The file to write. Its suffix, ``.gif`` or ``.mp4``, selects the format.
        battles: The units at each step of a battle, by the task's name; arrays without the leading
            ``N``. The name is shown above the map.
        width: W in pixels.
        frames_per_second: Steps of the battle per second.

    Raises:
        InputError: The suffix is unknown, or ffmpeg is not installed for ``.mp4``.
    """
    path = Path(path)
    check_film_file(path)
    episodes = [
        [np.asarray(frame) for frame in video_frames(steps, task_name, width)]
        for task_name, steps in battles.items()
    ]
    write_frames(path, episodes, frames_per_second)


def write_film(path: str | Path, battles: Mapping[str, Sequence[Units]], **options: Any) -> None:
    """Does what ``write_video`` does, with the same arguments; its earlier name."""
    write_video(path, battles, **options)
