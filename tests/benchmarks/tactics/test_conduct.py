"""What is counted of battles, in situations set up by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from conduct import conduct
from count import app, battles_of_script, counts
from scripted_teams import SCRIPTS
from situations import units_by_hand

from rllib_ptm.cli.run.exit_codes import EXIT_INPUT_ERROR
from rllib_ptm.cli.run.script import run_script
from rllib_ptm.environment.starcraft import StarCraftGame
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, STOP
from rllib_ptm.envs.starcraft.units import Units

WEST = STOP + 4
FIRST, SECOND = FIRST_ATTACK, FIRST_ATTACK + 1
# Three allies in a column, and two enemies in their range; the second is nearer to nobody.
FACING = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, -1.0], [3.0, 0.0], [4.0, 0.0]], np.float32)


def battle(health: list[float], cooldown: float = 0.0) -> Units:
    """One step of a battle."""
    reloads = np.zeros((1, 5), np.float32)
    reloads[:, :3] = cooldown
    return replace(
        units_by_hand(3, 2),
        position=FACING[None],
        health=np.array([health], np.float32),
        cooldown=reloads,
    )


def of_step(actions: list[int], health: list[float]) -> dict[str, float]:
    """The counts of one step in which everybody's weapon is loaded, and reloads if it attacks."""
    before = battle(health)
    after = battle(health, cooldown=0.5)
    west = np.array([a == WEST for a in actions] + [False] * 2)
    after = replace(after, position=after.position - [2.0, 0.0] * west[None, :, None])
    return conduct(before, after, np.array([actions]))


def test_shots_are_counted_by_what_they_aim_at() -> None:
    found = of_step([FIRST, SECOND, SECOND], health=[45, 45, 45, 45, 20])
    assert found["weakest"] == pytest.approx(2 / 3)
    assert found["healthiest"] == found["closest"] == pytest.approx(1 / 3)
    assert found["by chance"] == 0.5
    assert found["on one enemy"] == pytest.approx(2 / 3)
    assert found["holds fire"] == 0.0


def test_damage_is_wasted_on_an_enemy_that_has_less_left() -> None:
    found = of_step([SECOND, SECOND, SECOND], health=[45, 45, 45, 45, 9])
    assert found["wasted"] == pytest.approx(2 / 3)  # one shot of three kills it
    assert found["weakest"] == found["on one enemy"] == 1.0


def test_equal_enemies_are_no_choice() -> None:
    found = of_step([FIRST, FIRST, FIRST], health=[45, 45, 45, 45, 45])
    assert math.isnan(found["weakest"])
    assert math.isnan(found["by chance"])


def test_who_steps_away_is_counted_by_its_wounds_and_holds_its_fire() -> None:
    found = of_step([WEST, FIRST, FIRST], health=[10, 45, 45, 45, 45])
    assert found["wounded"] == 1.0
    assert found["unwounded"] == 0.0
    assert found["holds fire"] == pytest.approx(1 / 3)
    assert found["spread"] == pytest.approx(2 / 3)


def test_an_attack_that_does_not_reload_is_no_shot() -> None:
    units = battle([45, 45, 45, 45, 9], cooldown=0.5)
    found = conduct(units, units, np.array([[SECOND, SECOND, SECOND]]))
    assert math.isnan(found["weakest"])
    assert math.isnan(found["wasted"])
    assert math.isnan(found["holds fire"])  # nobody's weapon is loaded


def test_a_script_does_what_its_name_says() -> None:
    game = StarCraftGame.read({"tasks": ["3m_vs_3m"]})
    rows = {
        name: counts(battles_of_script(SCRIPTS[name], game, number=8, seed=0))
        for name in ("attack the weakest", "attack the closest")
    }
    assert rows["attack the weakest"]["weakest"] == rows["attack the closest"]["closest"] == 1.0
    for row in rows.values():
        assert row["holds fire"] == 0.0
        assert 0.0 < row["won"] < 1.0


def test_a_policy_of_the_package_and_a_script_play(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["5m_vs_5m", "--checkpoint", "small_mt", "--script", "lure", "--battles", "2"]
    assert run_script(app, words, "count.py") == 0
    assert "2 battles each of 5m_vs_5m" in capsys.readouterr().out


def test_an_unknown_script_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["5m_vs_5m", "--checkpoint", "small_mt", "--script", "lur"]
    assert run_script(app, words, "count.py") == EXIT_INPUT_ERROR
    assert "did you mean 'lure'?" in capsys.readouterr().err
