"""Scripted teams: what each does in situations set up by hand, and that luring wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scripted_teams
from scripted_teams import SCRIPTS, Situation, closest, shared_out, walk, weakest
from situations import units_by_hand
from tactics import play

from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, NO_OP, STOP
from rllib_ptm.envs.starcraft.units import Units

NORTH, SOUTH, EAST, WEST = range(STOP + 1, FIRST_ATTACK)


def battle(places: np.ndarray, health: list[float] | None = None) -> Units:
    """Three allies and two enemies at ``places`` [5, 2]."""
    units = replace(units_by_hand(3, 2), position=np.asarray(places, np.float32)[None])
    return units if health is None else replace(units, health=np.array([health], np.float32))


FACING = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, -1.0], [3.0, 0.0], [4.0, 0.0]])
APART = FACING + np.array([[0.0, 0.0]] * 3 + [[10.0, 0.0]] * 2)


def test_each_rule_picks_its_target() -> None:
    now = Situation(battle(FACING, [45, 45, 45, 45, 9]))
    np.testing.assert_array_equal(closest(now), [[0, 0, 0]])
    np.testing.assert_array_equal(weakest(now), [[1, 1, 1]])
    np.testing.assert_array_equal(shared_out(now), [[1, 0, 0]])  # one shot kills the weak one


def test_who_cannot_fire_leaves_the_target_to_others() -> None:
    units = battle(FACING, [45, 45, 45, 45, 9])
    waits = np.array([[1.0, 0.0, 0.0, 0.0, 0.0]], np.float32)
    np.testing.assert_array_equal(
        shared_out(Situation(replace(units, cooldown=waits))), [[1, 1, 0]]
    )


def test_nobody_walks_across_an_edge_or_without_need() -> None:
    units = units_by_hand(3, 2)
    can_move = units.can_move.copy()
    can_move[0, 0, WEST - NORTH] = False
    directions = np.array([[[-5.0, 0.1], [-5.0, 1.0], [0.1, 0.1]]])
    np.testing.assert_array_equal(
        walk(replace(units, can_move=can_move), directions), [[STOP, WEST, STOP]]
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_fires_at_who_is_in_range_and_the_dead_do_nothing(name: str) -> None:
    actions = SCRIPTS[name]()(battle(FACING, [45, 45, 0, 45, 45]))
    assert (actions[0, :2] >= FIRST_ATTACK).all()
    assert actions[0, 2] == NO_OP


def test_before_the_fight_the_scripts_differ() -> None:
    units = battle(APART)
    assert (SCRIPTS["attack the closest"]()(units) == EAST).all()
    assert (SCRIPTS["fall back"]()(units) == WEST).all()
    north_of_them = battle(APART + np.array([[0.0, 1.0]] * 3 + [[0.0, 0.0]] * 2))
    step_aside = SCRIPTS["step aside"]()
    assert (step_aside(north_of_them) == NORTH).all()
    later = replace(north_of_them, step=np.full(1, scripted_teams.STEPS_ASIDE, np.int16))
    assert (step_aside(later) == EAST).all()


def test_luring_steps_out_of_the_corner_until_it_is_seen_and_goes_back() -> None:
    lure = SCRIPTS["lure"]()
    corner, start, far = np.full(2, -15.0), np.full(2, -8.0), np.zeros(2)
    later = replace(battle(FACING), step=np.full(1, scripted_teams.FIRST_LURE + 1, np.int16))

    def act(team: np.ndarray, enemy: np.ndarray) -> set[int]:
        places = np.stack([team, team, team, enemy, enemy]).astype(np.float32)[None]
        return set(lure(replace(later, position=places))[0].tolist())

    assert act(start, far) <= {SOUTH, WEST}  # to the corner
    assert act(corner, far) <= {NORTH, EAST}  # out
    assert act(corner + 2.0, far) <= {NORTH, EAST}  # further out
    assert act(corner + 3.0, corner + 8.5) <= {SOUTH, WEST}  # seen: back


@pytest.mark.slow
def test_luring_wins_what_no_attack_wins() -> None:
    battles, task = SmaxBattles(64, 5, 6), parse_task("5m_vs_6m")
    rates = {name: play(battles, make(), task, 100, seed=0)[0] for name, make in SCRIPTS.items()}
    assert rates["lure"] > 0.9
    assert rates["attack the closest"] == rates["attack the weakest"] == 0.0
