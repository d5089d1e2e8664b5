"""pysc2, and SMACv2 where its source is, start and play on the stand-in without any change."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from s2clientprotocol import sc2api_pb2 as sc_pb
from sc2_standin.builds import BUILDS
from sc2_standin.installation import install

from pysc2_client.foreign_python import run
from pysc2_client.recorded import CHOSEN, differences

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
    ("race", "allies", "enemies"), [("terran", 5, 5), ("protoss", 5, 5), ("zerg", 10, 11)]
)
def test_smacv2_plays_and_its_rules_are_ours(
    tmp_path: Path, race: str, allies: int, enemies: int
) -> None:
    """Unmodified SMACv2. Of each state: what is allowed, who is seen, the reward, and the end."""
    source = os.environ.get("SMACV2_SOURCE")
    if source is None:
        pytest.skip("SMACV2_SOURCE does not name the folder of SMACv2's repository")
    game, size = install(tmp_path / "game"), (str(allies), str(enemies))
    played = run("record_smacv2.py", source, race, *size, "1000", game=game)
    assert played["restarts"] == 0
    found: Counter[str] = Counter()
    for episode in played["episodes"]:
        found.update(differences(episode))
    assert found.pop("states") >= 1000
    assert set(+found) <= CHOSEN
    assert any(episode[-1]["won"] for episode in played["episodes"])
