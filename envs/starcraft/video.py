"""Writes videos of battles: GIF files, or MP4 files if ffmpeg is installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from ...checks.errors import InputError
from .render import video_frames
from .units import Units

_LAST_FRAME_S = 2.0  # shows how the battle ended


def write_video(
    path: str | Path,
    battles: Mapping[str, Sequence[Units]],
    *,
    width: int = 480,
    frames_per_second: float = 4.0,
) -> None:
    """Writes one video of several battles. The last frame of each stays for two seconds.

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
    check_video_file(path)
    frames, seconds = [], []
    for task_name, steps in battles.items():
        frames += video_frames(steps, task_name, width)
        seconds += [1 / frames_per_second] * len(steps)
        seconds[-1] = max(seconds[-1], _LAST_FRAME_S)
    VIDEO_WRITERS[path.suffix](path, frames, seconds)


def write_film(path: str | Path, battles: Mapping[str, Sequence[Units]], **options: Any) -> None:
    """Does what ``write_video`` does, with the same arguments; its earlier name."""
    write_video(path, battles, **options)


def check_video_file(path: Path) -> None:
    """Checks that a video can be written to this file, so that errors appear before the battles.

    Raises:
        InputError: The suffix is unknown, or ffmpeg is not installed for ``.mp4``.
    """
    if path.suffix not in VIDEO_WRITERS:
        raise InputError(
            f"expected a file name that ends in {' or '.join(VIDEO_WRITERS)}, found {str(path)!r}"
        )
    if path.suffix == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise InputError(
            f"{str(path)!r} needs ffmpeg: pip install 'rllib-ptm[film]', or name a .gif file"
        )


def _write_gif(path: Path, frames: Sequence[Image.Image], seconds: Sequence[float]) -> None:
    first, *others = (frame.quantize() for frame in frames)
    milliseconds = [round(1000 * s) for s in seconds]
    first.save(path, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)


def _write_mp4(path: Path, frames: Sequence[Image.Image], seconds: Sequence[float]) -> None:
    """H.264. All its frames last equally long, so longer ones are repeated."""
    import imageio_ffmpeg

    shortest = min(seconds)
    # Players need an even width and height. ffmpeg adds the missing row or column.
    even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"]
    writer = imageio_ffmpeg.write_frames(
        str(path), frames[0].size, fps=1 / shortest, macro_block_size=1, output_params=even
    )
    with warnings.catch_warnings():
        # JAX warns of every fork. This one is safe: the new process becomes ffmpeg at once.
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        writer.send(None)
    for frame, duration in zip(frames, seconds, strict=True):
        for _ in range(round(duration / shortest)):
            writer.send(frame.tobytes())
    writer.close()


VIDEO_WRITERS: dict[str, Callable[[Path, Sequence[Image.Image], Sequence[float]], None]] = {
    ".gif": _write_gif,
    ".mp4": _write_mp4,
}
