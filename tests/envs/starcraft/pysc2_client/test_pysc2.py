"""pysc2, and SMAC and SMACv2 where their source is, play on the stand-in without any change."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from s2clientprotocol import sc2api_pb2 as sc_pb
from sc2_standin.builds import BUILDS
from sc2_standin.installation import install

from pysc2_client.foreign_python import run
from pysc2_client.recorded import differences

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("base_build", BUILDS)
def test_pysc2_plays(tmp_path: Path, base_build: int) -> None:
    build = BUILDS[base_build]
    said = run("play_pysc2.py", build.version, game=install(tmp_path / "game", base_build))
    assert said["build"] == base_build
    assert "SMAC_Maps/32x32_flat.SC2Map" in said["maps"]
    assert said["width"] == 32
    assert said["marine"] == build.num_types + 4
    assert said["steps"] > 3
    assert len(set(said["survivors"])) <= 1
    assert said["distance"] == pytest.approx(5.0)
    assert said["abilities"] == [4, 16, 23]
    assert said["chat"] == ["good luck"]
    assert said["results"] == [sc_pb.Defeat, sc_pb.Victory]
    assert (said["loop"], said["replay_loops"], said["status"]) == (1, 1, "launched")


@pytest.mark.parametrize(
    ("kind", "battle"),
    [
        ("smac", ["3m"]),
        ("smacv2", ["terran", "5", "5"]),
        ("smacv2", ["protoss", "5", "5"]),
        ("smacv2", ["zerg", "5", "6"]),
    ],
)
def test_smac_and_smacv2_play_and_their_rules_are_ours(
    tmp_path: Path, kind: str, battle: list[str]
) -> None:
    """Without any change. Of each state: what is allowed, who is seen, the reward, and the end."""
    variable = f"{kind.upper()}_SOURCE"
    if variable not in os.environ:
        pytest.skip(f"{variable} does not name the folder of a copy of github.com/oxwhirl/{kind}")
    source, game = os.environ[variable], install(tmp_path / "game")
    played = run("record.py", source, "1000", kind, *battle, game=game)
    assert played["restarts"] == 0
    found: Counter[str] = Counter()
    for episode in played["episodes"]:
        found.update(differences(episode, uniform_ranges=kind == "smac"))
    assert found.pop("states") >= 1000
    assert not +found
