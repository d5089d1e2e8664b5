"""Fixtures: an installation of the stand-in, battles on it, and a check of the cleanup."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sc2_standin.installation import install

from rllib_ptm.checks.settings import read_settings
from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.sc2.battles import Sc2Battles
from sc2_backend.arena import left_behind
from sc2_backend.player import Player

MakeBattles = Callable[..., Sc2Battles]


def settings(tasks: Any, **values: Any) -> EnvSettings:
    return read_settings(EnvSettings, {"tasks": tasks, "backend": "sc2", **values}, "env_config")


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the games' temporary folders."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def installation(tmp_path: Path, temp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sets SC2PATH to the stand-in. After the test no process and no folder of it may remain."""
    folder = install(tmp_path / "StarCraftII")
    monkeypatch.setenv("SC2PATH", str(folder))
    yield folder
    assert left_behind(folder, temp) == []


@pytest.fixture
def make(installation: Path) -> Iterator[MakeBattles]:
    """Makes N battles, and closes them after the test."""
    made = []

    def make_battles(tasks: Any = "5m_vs_5m", num_battles: int = 1, **values: Any) -> Sc2Battles:
        battles = settings(tasks, **values).make_battles(num_battles)
        assert isinstance(battles, Sc2Battles)
        made.append(battles)
        return battles

    yield make_battles
    for battles in made:
        battles.close()


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sc2Battles]:
    """One game with six slots per side, shared by the tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        folder = install(tmp_path_factory.mktemp("arena") / "StarCraftII")
        patch.setenv("SC2PATH", str(folder))
        battles = settings("6m_vs_6m").make_battles(1)
        assert isinstance(battles, Sc2Battles)
        yield battles
        battles.close()


@pytest.fixture
def player(tmp_path: Path) -> Player:
    """A stand-in that has received no request."""
    return Player(tmp_path / "game")


@pytest.fixture
def playing(player: Player) -> Player:
    """A stand-in with a game that the player has joined."""
    player.create()
    player.join()
    return player
