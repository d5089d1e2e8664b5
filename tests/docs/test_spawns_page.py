"""The page about tasks has every spawn, and its settings of SMAX's own scenarios are legal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.spawn import ARMY_DISTANCE, EDGE_MARGIN, SPAWNS, SPIRAL_SPACING

PAGE = (Path(__file__).parents[2] / "docs/tasks/tasks.md").read_text()
SECTION = PAGE.partition("\n## Spawns\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("spawn", SPAWNS)
def test_every_spawn_has_a_row(spawn: str) -> None:
    assert re.search(rf"^\| `{spawn}`( \(the default\))? \| ", SECTION, re.MULTILINE)
    assert ("(the default)" in SECTION.partition(f"| `{spawn}`")[2][:15]) == (spawn == "ends")


def test_its_distances_are_those_of_the_code() -> None:
    assert f"two points {ARMY_DISTANCE:.0f} apart" in SECTION
    assert f"within {EDGE_MARGIN} of the map's edge" in SECTION
    assert f"on a spiral, {SPIRAL_SPACING} apart" in SECTION


def test_smaxs_own_scenarios_can_be_played_as_it_says() -> None:
    (block,) = re.findall("```yaml\n(.*?)```", SECTION, re.DOTALL)
    settings = EnvSettings(**yaml.safe_load(block)["env_config"])
    assert len(settings.parsed_tasks) == 14
    assert settings.spawn == "smax"
