"""Films of battles, as files: a GIF, or an MP4 where ffmpeg is there to make one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from envs.errors import InputError
from envs.starcraft.render import video_frames
from envs.starcraft.units import Units

_LAST_PICTURE_S = 2.0  # so that one sees how a battle ended


def write_video(
    path: str | Path,
    battles: Mapping[str, Sequence[Units]],
    *,
    width: int = 480,
    frames_per_second: float = 4.0,
) -> None:
    """Writes battles one after the other; the last picture of each stays for two seconds.

    Args:
        path: The file to write; its ending, ``.gif`` or ``.mp4``, says what it becomes.
        battles: Each task's name, which stands above the map, and its battle at each step; arrays
            without a leading ``N``.
        width: W in pixels.
        frames_per_second: How many steps are shown in a second.

    Raises:
        InputError: The ending is another one, or what makes MP4 files is not installed.
    """
    path = Path(path)
    check_video_file(path)
    frames, seconds = [], []
    for task_name, moments in battles.items():
        frames += video_frames(moments, task_name, width)
        seconds += [1 / frames_per_second] * len(moments)
        seconds[-1] = max(seconds[-1], _LAST_PICTURE_S)
    VIDEO_WRITERS[path.suffix](path, frames, seconds)


def write_film(
    path: str | Path,
    battles: Mapping[str, Sequence[Units]],
    *,
    width: int = 480,
    frames_per_second: float = 4.0,
) -> None:
    """The earlier name of ``write_video``."""
    write_video(path, battles, width=width, frames_per_second=frames_per_second)


def check_video_file(path: Path) -> None:
    """Finds out before the battles whether a film of them can be written.

    Raises:
        InputError: The ending is not known, or what it needs is not installed.
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
    """H.264, whose pictures all last equally long: those that stay are repeated."""
    import imageio_ffmpeg

    shortest = min(seconds)
    # Players want both sides even, and ffmpeg adds the missing line itself.
    even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"]
    writer = imageio_ffmpeg.write_frames(
        str(path), frames[0].size, fps=1 / shortest, macro_block_size=1, output_params=even
    )
    with warnings.catch_warnings():
        # JAX warns of any new process; one that becomes ffmpeg at once shares no lock with us.
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        writer.send(None)
    for frame, stays in zip(frames, seconds, strict=True):
        for _ in range(round(stays / shortest)):
            writer.send(frame.tobytes())
    writer.close()


VIDEO_WRITERS: dict[str, Callable[[Path, Sequence[Image.Image], Sequence[float]], None]] = {
    ".gif": _write_gif,
    ".mp4": _write_mp4,
}
