"""Tests of videos of battles."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from situations import units_by_hand

from rllib_ptm.checks.errors import InputError
from rllib_ptm.envs import film
from rllib_ptm.envs.starcraft import video
from rllib_ptm.envs.starcraft.units import Units
from rllib_ptm.envs.starcraft.video import write_video

HEIGHT = 269  # of a video that is 240 pixels wide


@pytest.fixture
def battles() -> dict[str, list[Units]]:
    """Four steps of one battle, with a unit far from the centre in the last, and one of another."""
    scene = units_by_hand(3, 3, present=[0, 1, 3, 4])[0]
    steps = [replace(scene, step=np.array(step, np.int16)) for step in range(4)]
    far = steps[-1].position.copy()
    far[0] = (-15.0, 3.0)
    steps[-1] = replace(steps[-1], position=far)
    return {"2m": steps, "2m_vs_2m": [replace(scene, step=np.array(9, np.int16))]}


def test_a_gif_has_a_frame_for_each_step(battles: dict[str, list[Units]], tmp_path: Path) -> None:
    path = tmp_path / "battles.gif"
    write_video(path, battles, width=240, frames_per_second=5.0)
    with Image.open(path) as picture:
        assert picture.n_frames == 5  # type: ignore[attr-defined]
        assert picture.info["loop"] == 0
        durations, sizes = [], set()
        for frame in range(5):
            picture.seek(frame)
            durations.append(picture.info["duration"])
            sizes.add(picture.size)
    assert durations == [200, 200, 200, 2000, 2000]
    assert sizes == {(240, HEIGHT)}


def test_an_mp4_lasts_as_long(battles: dict[str, list[Units]], tmp_path: Path) -> None:
    path = tmp_path / "battles.mp4"
    write_video(path, battles, width=240, frames_per_second=5.0)
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    assert about["size"] == (240, HEIGHT + 1)
    frames = list(reader)
    assert len(frames) == 3 + 10 + 10
    assert frames[0] != frames[-1]


def test_write_film_is_another_name_of_write_video(
    battles: dict[str, list[Units]], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.gif", tmp_path / "second.gif"
    video.write_film(first, battles, width=240, frames_per_second=5.0)
    write_video(second, battles, width=240, frames_per_second=5.0)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", ["battle.avi", "battle"])
def test_another_ending_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"expected a file name that ends in \.gif or \.mp4"):
        film.check_film_file(Path(name))


def test_without_ffmpeg_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    film.check_film_file(Path("battle.gif"))
    with pytest.raises(InputError, match=r"pip install 'rllib-ptm\[film\]', or name a \.gif file"):
        film.check_film_file(Path("battle.mp4"))
