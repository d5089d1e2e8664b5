"""Tests of the map's symmetries and of battles in the team's frame."""

from dataclasses import replace

import numpy as np
import pytest
from situations import start

from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.battles import Resumable
from rllib_ptm.envs.starcraft.outcome import reward
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.spawn import SPAWNS
from rllib_ptm.envs.starcraft.symmetry import (
    INVERSE,
    SYMMETRIES,
    transform_actions,
    transform_units,
)
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.team_frame import TeamFrame, starts_in_team_frame
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, FIRST_MOVE, NO_OP, STOP, team_view
from rllib_ptm.envs.starcraft.units import FloatArray, Units

ALL = np.arange(len(SYMMETRIES))
COMPASS = np.array([[0, 1], [0, -1], [1, 0], [-1, 0]])  # north, south, east, west


def framed(
    num_battles: int, spawn: str = "ends", task: str = "5m_vs_6m"
) -> tuple[TeamFrame, Units]:
    battles = TeamFrame(SmaxBattles(num_battles, 11, 11, spawn=spawn))
    seeds = range(num_battles)
    tasks = [parse_task(task)] * num_battles
    return battles, battles.reset(np.arange(num_battles), tasks, seeds)


def ally_angle(units: Units) -> FloatArray:
    """[N] the direction of the allies' centre from the map's centre, in degrees."""
    where = units.position[:, : units.max_allies].sum(1)
    return np.degrees(np.arctan2(where[:, 1], where[:, 0]))


def test_the_symmetries_are_those_of_a_square() -> None:
    assert len({matrix.tobytes() for matrix in SYMMETRIES}) == 8
    corners = {(x, y) for x in (-1, 1) for y in (-1, 1)}
    for matrix, inverse in zip(SYMMETRIES, SYMMETRIES[INVERSE], strict=True):
        assert {tuple(matrix @ corner) for corner in corners} == corners
        np.testing.assert_array_equal(inverse @ matrix, np.eye(2))


@pytest.mark.parametrize("move", range(4))
def test_a_transformed_move_goes_in_the_transformed_direction(move: int) -> None:
    actions = np.full((8, 1), FIRST_MOVE + move)
    turned = transform_actions(actions, ALL)[:, 0] - FIRST_MOVE
    np.testing.assert_array_equal(COMPASS[turned], SYMMETRIES @ COMPASS[move])


def test_other_actions_stay() -> None:
    actions = np.tile([-1, NO_OP, STOP, FIRST_ATTACK, FIRST_ATTACK + 10], (8, 1))
    np.testing.assert_array_equal(transform_actions(actions, ALL), actions)


def test_a_symmetry_and_its_inverse_leave_units_unchanged() -> None:
    battles, units = start(["5m_vs_6m"] * 8)
    actions = np.where(
        team_view(units).action_mask[..., NO_OP], NO_OP, FIRST_MOVE + ALL[:, None] % 4
    )
    units = battles.step(actions)
    there = transform_units(units, ALL)
    back = transform_units(there, INVERSE[ALL])
    np.testing.assert_array_equal(back.position, units.position)
    np.testing.assert_array_equal(back.can_move, units.can_move)
    np.testing.assert_array_equal(back.last_action, units.last_action)
    assert not np.array_equal(there.last_action, units.last_action)


def test_visibility_attacks_and_reward_do_not_depend_on_the_frame() -> None:
    battles, before = start(["5m_vs_6m"] * 8)
    after = battles.step(np.where(before.present[:, :11], FIRST_MOVE, NO_OP))
    view, turned = team_view(after), team_view(transform_units(after, ALL))
    np.testing.assert_array_equal(turned.visible, view.visible)
    np.testing.assert_array_equal(
        turned.action_mask[..., FIRST_ATTACK:], view.action_mask[..., FIRST_ATTACK:]
    )
    np.testing.assert_array_equal(
        reward(transform_units(before, ALL), transform_units(after, ALL)), reward(before, after)
    )


def test_moves_off_the_map_are_forbidden_in_every_frame() -> None:
    _, units = start(["1m_vs_1m"] * 8)
    ally = units.present[:, :11]
    can_move = np.where(ally[..., None], [True, True, False, True], False)  # not to the east
    turned = transform_units(replace(units, can_move=can_move), ALL)
    barred = np.argmin(turned.can_move[ally], axis=-1)
    np.testing.assert_array_equal(COMPASS[barred], SYMMETRIES @ COMPASS[2])
    np.testing.assert_array_equal(turned.can_move[ally].sum(-1), 3)


def test_every_battle_starts_between_west_and_north_west() -> None:
    _, units = framed(200)
    angle = ally_angle(units)
    assert (angle >= 135.0).all()
    assert (angle <= 180.0).all()
    assert np.ptp(angle) > 40.0  # within the sector the angle is random


@pytest.mark.parametrize("spawn", SPAWNS)
def test_a_team_that_starts_anywhere_is_turned_too(spawn: str) -> None:
    _, units = framed(64, spawn, "11s")
    angle = ally_angle(units)
    assert (angle >= 135.0 - 1e-3).all()
    assert (angle <= 180.0).all()
    centres = units.position[:, :11].mean(1)
    assert all(starts_in_team_frame(centre) for centre in centres)
    # Also those that SMAX pushed across the edge, because eleven stalkers started in a corner.
    assert (np.abs(units.position) <= 16.0).all()


def test_the_enemies_stand_opposite_in_the_team_frame() -> None:
    _, units = framed(50)
    allies, enemies = units.position[:, :11].sum(1) / 5, units.position[:, 11:].sum(1) / 6
    np.testing.assert_allclose(enemies, -allies, atol=2.0)  # the jitter of both armies


@pytest.mark.parametrize("move", range(4))
def test_moves_go_where_the_team_frame_says(move: int) -> None:
    battles, before = framed(64)
    ally = before.present[:, :11]
    after = battles.step(np.where(ally, FIRST_MOVE + move, NO_OP))
    way = (after.position - before.position)[:, :11][ally]
    along = way @ COMPASS[move]
    assert (along > 1.3).all()
    assert (np.abs(way @ COMPASS[move][::-1]) < 0.3).all()  # units push each other a little


def test_the_frame_of_a_battle_stays_when_others_are_reset() -> None:
    battles, before = framed(16)
    ally = before.present[:, :11]
    for _ in range(2):
        battles.step(np.where(ally, STOP, NO_OP))
    kept = battles.reset(np.arange(8), [parse_task("5m_vs_6m")] * 8, range(100, 108))
    np.testing.assert_allclose(kept.position[8:, :11], before.position[8:, :11], atol=0.5)
    assert (ally_angle(kept) > 134.0).all()


def test_the_battle_itself_is_the_same() -> None:
    seeds, tasks = range(8), [parse_task("5m_vs_6m")] * 8
    plain, turned = SmaxBattles(8, 11, 11), TeamFrame(SmaxBattles(8, 11, 11))
    a, b = (x.reset(np.arange(8), tasks, seeds) for x in (plain, turned))
    for _ in range(12):  # no moves, so the actions are the same in both frames
        mask = team_view(a).action_mask
        orders = np.where(mask[..., FIRST_ATTACK:].any(-1), FIRST_ATTACK, STOP)
        orders = np.where(mask[..., NO_OP], NO_OP, orders)
        a, b = plain.step(orders), turned.step(orders)
        np.testing.assert_array_equal(a.health, b.health)
    assert (a.health < a.max_health).any()


def test_restored_battles_continue_in_the_same_frame() -> None:
    settings = EnvSettings(tasks="5m_vs_6m", team_frame=True, max_allies=11, max_enemies=11)
    first, second = settings.make_battles(8), settings.make_battles(8)
    before = first.reset(np.arange(8), [parse_task("5m_vs_6m")] * 8, range(8))
    east = np.where(before.present[:, :11], FIRST_MOVE + 2, NO_OP)
    first.step(east)
    assert isinstance(first, Resumable)
    assert isinstance(second, Resumable)
    second.set_state(first.get_state())
    one, other = first.step(east), second.step(east)
    np.testing.assert_array_equal(one.position, other.position)
    assert (one.position - before.position)[:, :11][before.present[:, :11]][:, 0].min() > 2.6


def test_the_setting_turns_it_on() -> None:
    assert isinstance(EnvSettings(team_frame=True).make_battles(2), TeamFrame)
    assert isinstance(EnvSettings().make_battles(2), SmaxBattles)
