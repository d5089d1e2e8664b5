"""Tests of the team's view on constructed battles; all expected numbers are computed by hand."""

from dataclasses import replace

import numpy as np
import pytest
from situations import crowd, units_by_hand

from rllib_ptm.envs.starcraft.team_view import (
    feature_widths,
    num_actions,
    num_features,
    targets,
    team_view,
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


def columns(units: Units, slot_features: bool = True) -> dict[str, FloatArray]:
    """The features of the first battle, [E, width] by name."""
    entities = team_view(units, slot_features=slot_features).entities[0]
    enemies = entities.shape[0] - units.max_allies
    widths = feature_widths(units.max_allies, enemies, slot_features)
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


# No-op, stop, north, south, east, west, any attack.
SLOT_FREE: dict[str, FloatArray] = {
    **{name: EXPECTED[name] for name in EXPECTED if name not in ("tag", "may_do", "did_last")},
    "may_do": rows((0, 1, 1, 0, 1, 1, 1), (0,) * 7, (1, 0, 0, 0, 0, 0, 0), (0,) * 7, (0,) * 7),
    "did_last": rows((0, 0, 0, 0, 0, 0, 1), (0,) * 7, (0, 0, 0, 1, 0, 0, 0), (0,) * 7, (0,) * 7),
    # In units of four agents.
    "in_range_of": rows(0, 0, 0, 1 / 4, 0),
    "aimed_at_by": rows(0, 0, 0, 1 / 4, 0),
}


@pytest.mark.parametrize("name", SLOT_FREE)
def test_each_feature_without_slots_has_the_value_worked_by_hand(units: Units, name: str) -> None:
    np.testing.assert_allclose(columns(units, False)[name], SLOT_FREE[name], atol=1e-7)


def test_who_aims_at_whom_counts_medivacs_for_their_patients() -> None:
    scene = crowd([MEDIVAC, MARINE, MARINE, STALKER], [MARINE, MEDIVAC, MARINE])
    scene = replace(scene, last_action=np.array([[6 + 1, 6 + 1, 6 + 1, 6 + 2]], np.int8))
    features = columns(scene, False)
    # The medivac heals either marine. The three others may shoot at every enemy.
    np.testing.assert_array_equal(features["in_range_of"][:, 0] * 4, [0, 1, 1, 0, 3, 3, 3])
    np.testing.assert_array_equal(features["aimed_at_by"][:, 0] * 4, [0, 1, 0, 0, 0, 2, 1])


def test_nobody_aims_at_the_dead_or_before_the_first_step() -> None:
    scene = crowd([MARINE, MARINE], [MARINE])
    assert not columns(scene, False)["aimed_at_by"].any()
    killed = replace(
        scene,
        last_action=np.array([[6, 6]], np.int8),
        health=np.array([[45, 45, 0]], np.float32),
    )
    assert not columns(killed, False)["aimed_at_by"].any()
    assert columns(killed, False)["did_last"][:2, 6].all()


@pytest.mark.parametrize("agents", [3, 4, 5, 70])
def test_more_than_four_agents_count_as_four(agents: int) -> None:
    scene = crowd([MARINE] * agents, [MARINE])
    scene = replace(scene, last_action=np.full((1, agents), 6, np.int8))
    features = columns(scene, False)
    expected = min(agents, 4) / 4
    assert features["in_range_of"][agents] == features["aimed_at_by"][agents] == expected


@pytest.mark.parametrize(("allies", "enemies"), [(1, 1), (3, 5), (8, 2)])
def test_features_without_slots_have_the_same_columns_for_all_numbers_of_slots(
    allies: int, enemies: int
) -> None:
    assert feature_widths(allies, enemies, False) == feature_widths(5, 5, False)
    view = team_view(units_by_hand(allies, enemies), slot_features=False)
    assert view.entities.shape[-1] == num_features(allies, enemies, False)


def test_features_without_slots_are_permuted_with_the_units() -> None:
    rng = np.random.default_rng(0)
    scene = replace(
        crowd([MARINE, STALKER, ZEALOT], [MARINE, MARINE, ZEALOT, STALKER]),
        position=rng.uniform(-4, 4, (1, 7, 2)).astype(np.float32),
        health=rng.uniform(1, 45, (1, 7)).astype(np.float32),
        last_action=np.array([[6 + 3, 2, 6 + 0]], np.int8),
    )
    allies, enemies = np.array([2, 0, 1]), np.array([1, 3, 0, 2])
    order = np.concatenate([allies, 3 + enemies])
    by_entity = ("position", "health", "unit_type", "attack_range", "sight_range")
    moved = replace(
        scene,
        **{name: getattr(scene, name)[:, order] for name in by_entity},
        # The first agent of the new order is the old third: it aims at the old enemy 0, now 2.
        last_action=np.array([[6 + 2, 6 + 1, 2]], np.int8),
    )
    view, other = (team_view(one, slot_features=False) for one in (scene, moved))
    np.testing.assert_allclose(other.entities, view.entities[:, order], atol=1e-6)


def test_the_table_of_features_is_complete(units: Units) -> None:
    assert list(columns(units)) == list(EXPECTED)
    assert list(columns(units, False)) == list(SLOT_FREE)
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


def test_any_leading_shape_gives_the_same_as_battle_by_battle(units: Units) -> None:
    stacked = units.map(lambda array: np.broadcast_to(array[0], (4, 3, *array.shape[1:])))
    view, alone = team_view(stacked), team_view(units)
    for many, one in zip(view, alone, strict=True):
        assert many.shape == (4, 3, *one.shape[1:])
        np.testing.assert_allclose(many[2, 1], one[0], atol=1e-7)


def test_one_battle_without_a_leading_shape(units: Units) -> None:
    view, batched = team_view(units[0]), team_view(units)
    np.testing.assert_array_equal(view.entities, batched.entities[0])
    np.testing.assert_array_equal(view.action_mask, batched.action_mask[0])
