"""Films of episodes, from pictures of any environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rllib_ptm.checks.errors import located


def check_film_file(place: str, path: Path, others: Sequence[str] = ()) -> None:
    """Checks that a film can be written to this file, so that errors appear before the episodes.

    Args:
        place: Where the name stands, for messages.
        path: The file.
        others: Suffixes of files that are no films, which the user could also name.

    Raises:
        InputError: The suffix is unknown, or ffmpeg is not installed for ``.mp4``.
    """
    from rllib_ptm.envs.film import check_film_file

    with located(f"{place}: "):
        check_film_file(path, others)


def write_film(path: Path, episodes: Mapping[str, Sequence[npt.NDArray[np.uint8]]]) -> None:
    """Writes one film of several episodes. The last picture of each stays for two seconds.

    Args:
        path: The file to write. Its suffix, ``.gif`` or ``.mp4``, selects the format.
        episodes: The pictures [H, W, 3] of each episode, by the name of its task. Pictures of
            other sizes than the largest stand on a dark ground.
    """
    from rllib_ptm.envs.film import write_film

    write_film(path, list(episodes.values()))
