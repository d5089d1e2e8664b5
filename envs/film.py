"""Writes films: GIF files, or MP4 files if ffmpeg is installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..checks.errors import InputError
from ..checks.extras import needs_extra

_LAST_FRAME_S = 2.0  # shows how an episode ended
_GROUND = (17, 21, 31)  # behind frames that are smaller than the film


def write_film(
    path: Path,
    episodes: Sequence[Sequence[npt.NDArray[np.uint8]]],
    frames_per_second: float = 4.0,
) -> None:
    """Writes one film of several episodes. The last frame of each stays for two seconds.

    Args:
        path: The file to write. Its suffix, ``.gif`` or ``.mp4``, selects the format.
        episodes: The frames [H, W, 3] of each episode.
        frames_per_second: Steps of an episode per second.

    Raises:
        InputError: The suffix is unknown, or ffmpeg is not installed for ``.mp4``.
    """
    check_film_file(path)
    frames = [frame for episode in episodes for frame in episode]
    height, width = (max(frame.shape[side] for frame in frames) for side in (0, 1))
    seconds: list[float] = []
    for episode in episodes:
        seconds += [1 / frames_per_second] * len(episode)
        seconds[-1] = max(seconds[-1], _LAST_FRAME_S)
    images = [_on_ground(frame, width, height) for frame in frames]
    FILM_WRITERS[path.suffix](path, images, seconds)


def check_film_file(path: Path, others: Sequence[str] = ()) -> None:
    """Checks that a film can be written to this file, so that errors appear before the episodes.

    Args:
        path: The file.
        others: Suffixes of files that are no films, which the caller also takes, for the message.

    Raises:
        InputError: The suffix is unknown, or ffmpeg is not installed for ``.mp4``.
    """
    if path.suffix not in FILM_WRITERS:
        raise InputError(
            f"expected a file name that ends in {' or '.join((*FILM_WRITERS, *others))}, found "
            f"{str(path)!r}"
        )
    if path.suffix == ".mp4":
        with needs_extra("film", f"the film {str(path)!r}", ", or name a .gif file"):
            import imageio_ffmpeg  # noqa: F401


def _on_ground(frame: npt.NDArray[np.uint8], width: int, height: int) -> Image.Image:
    """The frame in the middle of a picture of this size."""
    image = Image.fromarray(frame)
    if image.size == (width, height):
        return image
    ground = Image.new("RGB", (width, height), _GROUND)
    ground.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return ground


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


FILM_WRITERS: dict[str, Callable[[Path, Sequence[Image.Image], Sequence[float]], None]] = {
    ".gif": _write_gif,
    ".mp4": _write_mp4,
}
