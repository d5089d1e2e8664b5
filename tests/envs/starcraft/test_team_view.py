"""Tests of the team's view on constructed battles; all expected numbers are computed by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from situations import units_by_hand

from rllib_ptm.envs.starcraft.team_view import (
    decided,
    feature_widths,
    num_actions,
    num_features,
    reward,
    targets,
    team_view,
    won,
)
from rllib_ptm.envs.starcraft.units import UNIT_TYPES, FloatArray, Units

# Three ally slots and two enemy slots; ally 1 is absent, ally 2 dead.
ALLY, ABSENT, DEAD, ENEMY, FAR_ENEMY = range(5)


@pytest.fixture
def units() -> Units:
    scene = units_by_hand(3, 2, present=[ALLY, DEAD, ENEMY, FAR_ENEMY])
    return replace(
        scene,
        position=np.array([[[-4, 2], [0, 0], [5, 5], [0, 2], [12, 2]]], np.float32),
        health=np.array([[36, 0, 0, 45, 9]], np.float32),
        max_shield=np.array([[0, 0, 0, 80, 0]], np.float32),
        shield=np.array([[0, 0, 0, 20, 0]], np.float32),
        cooldown=np.array([[0.25, 0, 0.5, 0.75, 0]], np.float32),
        unit_type=np.array([[0, 0, 0, UNIT_TYPES.index("zealot"), 1]], np.int8),
        can_move=np.array([[[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]]], bool),
        last_action=np.array([[6, 0, 3]], np.int8),
    )


def columns(units: Units) -> dict[str, FloatArray]:
    """The features of the first battle, [E, width] by name."""
    entities = team_view(units).entities[0]
    widths = feature_widths(units.max_allies, entities.shape[0] - units.max_allies)
    ends = np.cumsum(list(widths.values()))
    return dict(zip(widths, np.split(entities, ends[:-1], axis=-1), strict=True))


def rows(*values: float | tuple[float, ...]) -> FloatArray:
    return np.array(values, np.float32).reshape(len(values), -1)


EXPECTED: dict[str, FloatArray] = {
    "alive": rows(1, 0, 0, 1, 1),
    "health": rows(36 / 45, 0, 0, 1, 9 / 45),
    "shield": rows(0, 0, 0, 20 / 80, 0),
    "cooldown": rows(0.25, 0, 0, 0, 0),  # 0 for the dead and for enemies
    # In units of two map units.
    "from_centre": rows((-2, 1), (0, 0), (0, 0), (0, 1), (6, 1)),
    # The centre of mass is the position of the only living ally.
    "from_team": rows((0, 0), (0, 0), (0, 0), (2, 0), (8, 0)),
    "side": rows(1, 0, 1, -1, -1),
    "unit_type": rows(*(tuple(np.eye(9)[t]) if t >= 0 else (0,) * 9 for t in (0, -1, 0, 4, 1))),
    "tag": rows((1, 0, 0), (0, 0, 0), (0, 0, 1), (1, 0, 0), (0, 1, 0)),
    # No-op, stop, north, south, east, west, attack 0, attack 1.
    "may_do": rows(
        (0, 1, 1, 0, 1, 1, 1, 0), (0,) * 8, (1, 0, 0, 0, 0, 0, 0, 0), (0,) * 8, (0,) * 8
    ),
    "did_last": rows(
        (0, 0, 0, 0, 0, 0, 1, 0), (0,) * 8, (0, 0, 0, 1, 0, 0, 0, 0), (0,) * 8, (0,) * 8
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_feature_has_the_value_worked_by_hand(units: Units, name: str) -> None:
    np.testing.assert_allclose(columns(units)[name], EXPECTED[name], atol=1e-7)


def test_the_table_of_features_is_complete(units: Units) -> None:
    assert list(columns(units)) == list(EXPECTED)
    entities = team_view(units).entities
    assert entities.shape == (1, 5, num_features(3, 2))
    assert entities.dtype == np.float32


def test_the_centre_of_mass_is_of_the_living_allies_only(units: Units) -> None:
    health = units.health.copy()
    health[0, DEAD] = 45.0  # alive again at (5, 5): the centre of mass moves to (0.5, 3.5)
    from_team = columns(replace(units, health=health))["from_team"]
    np.testing.assert_allclose(from_team[ALLY], (-4.5 / 2, -1.5 / 2), atol=1e-7)


def test_absent_entities_are_zero_and_the_dead_are_not(units: Units) -> None:
    view = team_view(units)
    assert not view.entities[0, ABSENT].any()
    assert view.entities[0, DEAD].any()
    np.testing.assert_array_equal(view.present, units.present)


def test_there_is_no_action_yet_at_the_start() -> None:
    assert not columns(units_by_hand(2, 2))["did_last"].any()


def test_who_sees_whom(units: Units) -> None:
    visible = team_view(units).visible[0]
    np.testing.assert_array_equal(
        visible,
        [
            [True, False, False, True, False],  # itself and the near enemy
            [False] * 5,  # absent
            [False] * 5,  # dead
        ],
    )


def marines_apart(distance: float, sight: float = 9.0, reach: float = 5.0) -> Units:
    scene = units_by_hand(1, 1)
    position = np.array([[[0, 0], [distance, 0]]], np.float32)
    full = np.ones((1, 2), np.float32)
    return replace(scene, position=position, sight_range=sight * full, attack_range=reach * full)


@pytest.mark.parametrize(
    ("distance", "sight", "seen"),
    [(8.99, 9.0, True), (9.0, 9.0, False), (9.01, 9.0, False), (9.99, 10.0, True)],
)
def test_sight_ends_at_the_sight_range(distance: float, sight: float, seen: bool) -> None:
    view = team_view(marines_apart(distance, sight=sight))
    np.testing.assert_array_equal(view.visible[0], [[True, seen]])


@pytest.mark.parametrize(
    ("distance", "reach", "allowed"),
    [
        (4.99, 5.0, True),
        (5.0, 5.0, False),
        (5.01, 5.0, False),
        (5.99, 6.0, True),
        (6.01, 6.0, False),
    ],
)
def test_shooting_ends_at_the_attack_range(distance: float, reach: float, allowed: bool) -> None:
    mask = team_view(marines_apart(distance, reach=reach)).action_mask
    assert bool(mask[0, 0, 6]) is allowed


def test_what_the_living_the_dead_and_the_absent_may_do(units: Units) -> None:
    mask = team_view(units).action_mask[0]
    assert mask.shape == (3, num_actions(2))
    np.testing.assert_array_equal(np.flatnonzero(mask[ALLY]), [1, 2, 4, 5, 6])  # not south
    np.testing.assert_array_equal(np.flatnonzero(mask[ABSENT]), [0])
    np.testing.assert_array_equal(np.flatnonzero(mask[DEAD]), [0])


def test_a_dead_enemy_cannot_be_attacked(units: Units) -> None:
    health = units.health.copy()
    health[0, ENEMY] = 0.0
    assert not team_view(replace(units, health=health)).action_mask[0, ALLY, 6:].any()


MEDIVAC, MARINE, MARAUDER, STALKER, ZEALOT = map(
    UNIT_TYPES.index, ("medivac", "marine", "marauder", "stalker", "zealot")
)


def crowd(allies: list[int], enemies: list[int]) -> Units:
    """Units of these types, all within range of each other."""
    scene = units_by_hand(len(allies), len(enemies))
    return replace(scene, unit_type=np.array([allies + enemies], np.int8))


# A is larger than F, equal to it, or smaller.
@pytest.mark.parametrize("num_enemies", [2, 3, 4, 6])
def test_a_medivac_heals_allies_instead_of_attacking(num_enemies: int) -> None:
    scene = crowd([MEDIVAC, MARINE, STALKER, MEDIVAC], [MARINE] * num_enemies)
    mask = team_view(scene).action_mask[0, :, 6:]
    assert mask.shape == (4, num_enemies)
    heals = np.arange(num_enemies) == 1  # the marine in slot 1; not the stalker, not a medivac
    np.testing.assert_array_equal(mask, [heals, [True] * num_enemies, [True] * num_enemies, heals])


def test_a_medivac_heals_only_who_lives_and_is_in_range() -> None:
    scene = crowd([MEDIVAC, MARINE, ZEALOT, MARAUDER], [MARINE] * 4)
    health = scene.health.copy()
    health[0, 1] = 0.0
    position = scene.position.copy()
    position[0, 2] = 5.0, 1.0
    near = replace(scene, health=health, position=position)
    np.testing.assert_array_equal(
        team_view(near).action_mask[0, 0, 6:], [False, False, False, True]
    )


def test_what_flies_is_attacked_only_by_what_shoots_up() -> None:
    kinds = [UNIT_TYPES.index(name) for name in UNIT_TYPES]
    mask = team_view(crowd(kinds, [MEDIVAC, MARINE])).action_mask[0, :, 6:]
    attackers = [kind for kind in kinds if kind != MEDIVAC]  # a medivac's 6 + k names an ally
    shoots_up = [UNIT_TYPES[kind] for kind in attackers if mask[kind, 0]]
    assert shoots_up == ["marine", "stalker", "hydralisk"]
    assert mask[attackers, 1].all()


def test_the_target_of_an_action() -> None:
    scene = crowd([MEDIVAC, MARINE, MARINE], [MARINE] * 3)
    aims = targets(scene, np.array([[6 + 2, 6 + 2, 5]]))
    np.testing.assert_array_equal(aims, [[2, 3 + 2, -1]])


@pytest.mark.parametrize(
    ("allies", "enemies", "is_won", "is_decided"),
    [
        ((45, 45), (45, 45), False, False),
        ((0, 9), (45, 0), False, False),
        ((0, 9), (0, 0), True, True),
        ((0, 0), (0, 9), False, True),
        ((0, 0), (0, 0), False, True),  # both armies die at once: a draw is not won
    ],
)
def test_won_and_decided(
    allies: tuple[float, float], enemies: tuple[float, float], is_won: bool, is_decided: bool
) -> None:
    scene = replace(units_by_hand(2, 2), health=np.array([allies + enemies], np.float32))
    assert won(scene).tolist() == [is_won]
    assert decided(scene).tolist() == [is_decided]


FIGHTERS = [name for name in UNIT_TYPES if name != "medivac"]


# The unit types that are still alive on either side. SMAC looks for a loss before a win.
@pytest.mark.parametrize(
    ("allies", "enemies", "is_won", "is_decided"),
    [
        (["marine", "medivac"], ["marine", "medivac"], False, False),
        (["medivac"], ["marine"], False, True),
        (["medivac", "medivac"], ["marine"], False, True),
        (["marine"], ["medivac"], True, True),
        (["marine"], ["medivac", "medivac"], True, True),
        (["medivac"], ["medivac"], False, True),
        (["medivac"], [], False, True),
        ([], ["medivac"], False, True),
        *(([name], ["marine"], False, False) for name in FIGHTERS),
        *((["marine"], [name], False, False) for name in FIGHTERS),
        *(([name], ["medivac"], True, True) for name in FIGHTERS),  # also what cannot shoot up
    ],
)
def test_medivacs_alone_end_a_battle_and_nothing_else_does(
    allies: list[str], enemies: list[str], is_won: bool, is_decided: bool
) -> None:
    kinds = np.zeros((1, 4), np.int8)
    health = np.zeros((1, 4), np.float32)
    for first, army in ((0, allies), (2, enemies)):
        for slot, name in enumerate(army, first):
            kinds[0, slot], health[0, slot] = UNIT_TYPES.index(name), 9.0
    scene = replace(units_by_hand(2, 2), unit_type=kinds, health=health)
    assert won(scene).tolist() == [is_won]
    assert decided(scene).tolist() == [is_decided]


def test_absent_units_do_not_keep_a_battle_going() -> None:
    scene = units_by_hand(2, 2, present=[0, 2])
    health = scene.health.copy()
    health[0, 2] = 0.0
    assert won(replace(scene, health=health)).all()


@pytest.mark.parametrize("size", range(1, 12))
def test_a_flawless_win_earns_20_for_every_team_size(size: int) -> None:
    before = units_by_hand(11, 11, present=[*range(size), *range(11, 11 + size)])
    earned = 0.0
    for enemy in range(11, 11 + size):
        for left in (20.0, 0.0):
            health = before.health.copy()
            health[0, enemy] = left
            after = replace(before, health=health)
            earned += float(reward(before, after)[0])
            before = after
    assert won(before).all()
    assert earned == pytest.approx(20.0, rel=1e-5)


# The maximum against 2 marines is 2 * 45 health + 2 * 10 for kills + 200 = 310, worth 20.
@pytest.mark.parametrize(
    ("allies", "enemies", "points"),
    [
        ((45, 45), (45, 45), 0),
        ((45, 45), (36, 45), 9),
        ((45, 0), (36, 36), 18),  # losses of allies cost nothing
        ((45, 45), (0, 45), 45 + 10),
        ((45, 0), (0, 0), 90 + 20 + 200),
        ((0, 0), (0, 0), 90 + 20),  # a draw: no bonus
    ],
)
def test_what_a_step_earns(
    allies: tuple[float, float], enemies: tuple[float, float], points: float
) -> None:
    before = units_by_hand(2, 2)
    after = replace(before, health=np.array([allies + enemies], np.float32))
    earned = reward(before, after)
    assert earned.dtype == np.float32
    np.testing.assert_allclose(earned, [points * 20 / 310], rtol=1e-6)


def test_shields_count_and_what_grows_back_counts_against(units: Units) -> None:
    # The maximum is 45 + 45 health, 80 shield, 20 for kills and 200: 390.
    unshielded = replace(units, shield=np.zeros_like(units.shield))
    np.testing.assert_allclose(reward(units, unshielded), [20 * 20 / 390], rtol=1e-6)
    np.testing.assert_allclose(reward(unshielded, units), [-20 * 20 / 390], rtol=1e-6)


# Two enemy marines, a hurt ally marine. The maximum is 310 points, as above. The health of the
# enemies before and after, and the points by our rule and by SMACv2's.
@pytest.mark.parametrize(
    ("before", "after", "points", "positive_points"),
    [
        ((30, 30), (20, 30), 10, 10),
        ((30, 30), (20, 35), 5, 5),
        ((30, 30), (20, 45), -5, 0),  # the sum over the enemies, not each of them
        ((30, 30), (0, 45), 30 + 10 - 15, 30 + 10 - 15),
        ((5, 10), (0, 45), 5 + 10 - 35, 0),  # kills are within the sum
        ((5, 5), (0, 0), 10 + 20 + 200, 10 + 20 + 200),
    ],
)
def test_the_sign_of_the_reward(
    before: tuple[float, float],
    after: tuple[float, float],
    points: float,
    positive_points: float,
) -> None:
    one, other = (
        replace(units_by_hand(1, 2), health=np.array([[9, *enemies]], np.float32))
        for enemies in (before, after)
    )
    np.testing.assert_allclose(reward(one, other), [points * 20 / 310], rtol=1e-6)
    found = reward(one, other, only_positive=True)
    np.testing.assert_allclose(found, [positive_points * 20 / 310], rtol=1e-6)


def test_medivacs_that_are_left_alone_count_as_killed() -> None:
    """Two marines and two medivacs are killed or left: 4 * 45 health, 40 for kills and 200."""
    scene = replace(units_by_hand(1, 4), unit_type=np.array([[0, 0, MEDIVAC, 0, MEDIVAC]], np.int8))
    maximum = 4 * 45 + 4 * 10 + 200
    steps = [(45, 45, 45, 45, 45), (45, 0, 30, 5, 45), (45, 0, 40, 0, 45)]
    states = [replace(scene, health=np.array([health], np.float32)) for health in steps]
    assert decided(states[1]).tolist() == [False]
    assert won(states[2]).tolist() == [True]
    earned = [float(reward(a, b)[0]) for a, b in pairwise(states)]
    assert earned[0] == pytest.approx((45 + 15 + 40 + 10) * 20 / maximum, rel=1e-6)
    assert sum(earned) == pytest.approx(20.0, rel=1e-6)
    # SMACv2 gives neither their health nor their kills.
    last = float(reward(states[1], states[2], only_positive=True)[0])
    assert last == pytest.approx((5 - 10 + 10 + 200) * 20 / maximum, rel=1e-6)


def test_a_lost_battle_gives_nothing_for_the_units_that_are_left() -> None:
    scene = crowd([MEDIVAC, MARINE], [MEDIVAC, MARINE])
    health = scene.health.copy()
    health[0, 1] = health[0, 3] = 0.0  # both armies have only a medivac left
    after = replace(scene, health=health)
    np.testing.assert_allclose(reward(scene, after), [(45 + 10) * 20 / 310], rtol=1e-6)


def test_any_leading_shape_gives_the_same_as_battle_by_battle(units: Units) -> None:
    stacked = units.map(lambda array: np.broadcast_to(array[0], (4, 3, *array.shape[1:])))
    view, alone = team_view(stacked), team_view(units)
    for many, one in zip(view, alone, strict=True):
        assert many.shape == (4, 3, *one.shape[1:])
        np.testing.assert_allclose(many[2, 1], one[0], atol=1e-7)
    assert reward(stacked, stacked).shape == won(stacked).shape == (4, 3)


def test_one_battle_without_a_leading_shape(units: Units) -> None:
    view, batched = team_view(units[0]), team_view(units)
    np.testing.assert_array_equal(view.entities, batched.entities[0])
    np.testing.assert_array_equal(view.action_mask, batched.action_mask[0])
