"""Tests of rewards and ends on constructed battles; all numbers are computed by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from situations import crowd, units_by_hand

from rllib_ptm.envs.starcraft.outcome import decided, reward, won
from rllib_ptm.envs.starcraft.units import UNIT_TYPES

MEDIVAC, MARINE = map(UNIT_TYPES.index, ("medivac", "marine"))


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


def test_shields_count_and_what_grows_back_counts_against() -> None:
    # The maximum is 45 + 45 health, 80 shield, 20 for kills and 200: 390.
    units = replace(
        units_by_hand(1, 2),
        max_shield=np.array([[0, 80, 0]], np.float32),
        shield=np.array([[0, 20, 0]], np.float32),
    )
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


def test_any_leading_shape_has_a_reward_and_an_outcome_for_each_battle() -> None:
    units = units_by_hand(2, 2)
    stacked = units.map(lambda array: np.broadcast_to(array[0], (4, 3, *array.shape[1:])))
    assert reward(stacked, stacked).shape == won(stacked).shape == decided(stacked).shape == (4, 3)
