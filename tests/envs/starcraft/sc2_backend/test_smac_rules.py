"""Our rules and those of SMAC, SMACv2 and REFIL on equal battles.

They differ only as ``smac_rules.DIFFERENCES`` says, and each of these differences appears. With
``action_mask: smac`` no difference in actions is left.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import smac_rules as smac
from situations import units_by_hand
from smac_rules import RULES, Battle, Rules, Unit

from rllib_ptm.environment.starcraft import StarCraftGame
from rllib_ptm.envs.starcraft.outcome import decided, reward, won
from rllib_ptm.envs.starcraft.sc2.observation import can_move
from rllib_ptm.envs.starcraft.sc2.unit_types import ranges
from rllib_ptm.envs.starcraft.team_view import team_view
from rllib_ptm.envs.starcraft.units import UNIT_TYPES, BoolArray, Units

BATTLES, ALLIES, ENEMIES = 200, 5, 6
CENTRE = np.array([16.0, 16.0], np.float32)
SHOOTS_UP = {"marine", "stalker", "hydralisk"}
MACHINES = {"stalker", "colossus"}
FULL = {  # health and shield
    "marine": (45, 0),
    "marauder": (125, 0),
    "medivac": (150, 0),
    "stalker": (80, 80),
    "zealot": (100, 50),
    "colossus": (200, 150),
    "hydralisk": (80, 0),
    "zergling": (35, 0),
    "baneling": (30, 0),
}


def full(units: tuple[Unit, ...]) -> float:
    return float(sum(sum(FULL[unit.kind]) for unit in units))


def random_battle(rng: np.random.Generator) -> Battle:
    """Units on a grid of half map units, so that many are at exactly a range or at the edge."""
    kinds = UNIT_TYPES if rng.random() < 0.5 else ("marine", "medivac")
    around = rng.choice([0.0, 3.0, 16.0, 31.5], 2)
    alive = rng.choice([0.2, 0.4, 0.9])

    def unit() -> Unit:
        kind = str(rng.choice(kinds))
        health, shield = FULL[kind]
        x, y = np.clip(around + rng.integers(-14, 15, 2) / 2, 0.0, 31.75).tolist()
        share = rng.choice([0.25, 0.5, 1.0]) * (rng.random() < alive)
        return Unit(kind, x, y, health * share, shield * (share > 0) * rng.random())

    return Battle(tuple(unit() for _ in range(ALLIES)), tuple(unit() for _ in range(ENEMIES)))


def next_battle(battle: Battle, rng: np.random.Generator) -> Battle:
    """The living lose, regain or keep health, or die."""

    def later(unit: Unit) -> Unit:
        share = rng.choice([0.0, 0.5, 1.0, 1.5])
        health, shield = FULL[unit.kind]
        left = min(unit.health * share, health), min(unit.shield * share, shield) * (share > 0)
        return replace(unit, health=left[0], shield=left[1])

    return Battle(*(tuple(map(later, army)) for army in (battle.allies, battle.enemies)))


def our_units(
    battle: Battle, uniform_ranges: bool, pathable: BoolArray, smac_masks: bool = False
) -> Units:
    """The battle as StarCraft II's backend writes it, [1, ...]."""
    units = battle.allies + battle.enemies
    kinds = np.array([[UNIT_TYPES.index(unit.kind) for unit in units]], np.int8)
    sight, reach = ranges(uniform_ranges)
    place = np.array([[(unit.x, unit.y) for unit in units]], np.float32) - CENTRE
    most = np.array([[FULL[unit.kind] for unit in units]], np.float32)
    return replace(
        units_by_hand(ALLIES, ENEMIES),
        unit_type=kinds,
        sight_range=sight[kinds],
        attack_range=reach[kinds],
        max_health=most[..., 0],
        max_shield=most[..., 1],
        health=np.array([[unit.health for unit in units]], np.float32),
        shield=np.array([[unit.shield for unit in units]], np.float32),
        position=place,
        can_move=can_move(place[0, :ALLIES], pathable, CENTRE, smac_masks)[None],
    )


@cache
def battles() -> list[tuple[Battle, Battle, BoolArray]]:
    """Battles, a later moment of each, and the cells that are pathable."""
    rng = np.random.default_rng(0)
    drawn = [random_battle(rng) for _ in range(BATTLES)]
    return [(one, next_battle(one, rng), rng.random((32, 32)) < 0.9) for one in drawn]


def why_actions_differ(battle: Battle, agent: int, action: int) -> str:
    """The difference that explains an action that only theirs or only ours allow."""
    unit = battle.allies[agent]
    if action in (smac.SOUTH, smac.WEST):
        return smac.EDGE if (unit.y if action == smac.SOUTH else unit.x) < 1 else "unknown"
    if action < smac.FIRST_TARGET:
        return "unknown"
    if unit.kind == smac.MEDIVAC:
        patient = battle.allies[action - smac.FIRST_TARGET]
        return smac.MACHINES if patient.kind in MACHINES else "unknown"
    target = battle.enemies[action - smac.FIRST_TARGET]
    is_air = target.kind == smac.MEDIVAC and unit.kind not in SHOOTS_UP
    return smac.AIR if is_air else "unknown"


def compare_views(
    rules: Rules, battle: Battle, pathable: BoolArray, smac_masks: bool
) -> Counter[str]:
    """Why our actions and what our agents see differ from theirs."""
    found: Counter[str] = Counter()
    units = our_units(battle, not rules.own_ranges, pathable, smac_masks)
    view = team_view(units, smac_masks)
    grid = pathable.tolist()
    for agent, unit in enumerate(battle.allies):
        ours = set(np.flatnonzero(view.action_mask[0, agent]).tolist())
        theirs = smac.allowed(rules, battle, agent, grid)
        assert ours <= theirs
        found.update(why_actions_differ(battle, agent, action) for action in theirs - ours)
        seen = set(np.flatnonzero(view.visible[0, agent]).tolist())
        for slot in seen ^ smac.visible(rules, battle, agent):
            apart = smac.distance(unit, (battle.allies + battle.enemies)[slot])
            is_dead = slot == agent and unit.health <= 0
            found[smac.DEAD if is_dead else smac.SIGHT if apart == 9.0 else "unknown"] += 1
    return found


def compare_ends(rules: Rules, battle: Battle, pathable: BoolArray) -> Counter[str]:
    """Why our ends of battles differ from theirs."""
    units = our_units(battle, True, pathable)
    end = smac.ending(rules, battle)
    if (bool(won(units)[0]), bool(decided(units)[0])) == (end == 1, end is not None):
        return Counter()
    living = [unit.kind for unit in battle.enemies if unit.health > 0]
    return Counter([smac.SEVERAL if living == [smac.MEDIVAC] * len(living) else "unknown"])


def compare_rewards(
    rules: Rules, before: Battle, after: Battle, only_positive: bool
) -> Counter[str]:
    """Why our reward differs from theirs. Battles that are over before are left out."""
    everywhere = np.ones((32, 32), bool)
    one, other = (our_units(battle, True, everywhere) for battle in (before, after))
    if decided(one)[0] or compare_ends(rules, after, everywhere):
        return Counter()
    scale = smac.BEST / (full(before.enemies) + smac.KILL * ENEMIES + smac.WIN)
    theirs = smac.reward(rules, before, after, full(before.enemies))
    ours = float(reward(one, other, only_positive)[0])
    if ours == pytest.approx(theirs, abs=1e-5):
        return Counter()
    left = [unit.points + smac.KILL for unit in after.enemies if unit.health > 0]
    if won(other)[0] and left and ours == pytest.approx(theirs + sum(left) * scale, abs=1e-5):
        return Counter([smac.LEFT_OVER])
    net = smac.reward(replace(rules, sign=float), before, after, full(before.enemies))
    is_regained = net < 0 and ours == pytest.approx(net, abs=1e-5)
    return Counter([smac.REGAINED if is_regained else "unknown"])


# What differs in actions, which ``action_mask: smac`` removes, and in sight.
ACTIONS = {smac.EDGE, smac.AIR, smac.MACHINES}
SIGHTS = {
    "SMAC": set(),
    "SMACv2": set(),
    "SMACv2, use_unit_ranges": set(),
    "REFIL": {smac.SIGHT, smac.DEAD},
}


@pytest.mark.parametrize("smac_masks", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_actions_and_sight_differ_only_as_declared(name: str, smac_masks: bool) -> None:
    found: Counter[str] = Counter()
    for battle, _, pathable in battles():
        found += compare_views(RULES[name], battle, pathable, smac_masks)
    assert set(found) == (SIGHTS[name] if smac_masks else SIGHTS[name] | ACTIONS)


def test_a_policy_can_play_with_the_other_masks() -> None:
    trained = StarCraftGame.read({"tasks": "3m", "backend": "sc2", "action_mask": "smac"})
    assert trained.with_settings({}).plain()["action_mask"] == "smac"
    assert trained.with_settings({"action_mask": "game"}).plain()["action_mask"] == "game"
    assert "action_mask" not in trained.with_settings({"backend": "smax"}).plain()


@pytest.mark.parametrize(("name", "different"), [("SMAC", {smac.SEVERAL}), ("SMACv2", set())])
def test_the_ends_of_battles_differ_only_as_declared(name: str, different: set[str]) -> None:
    found: Counter[str] = Counter()
    ends = Counter(smac.ending(RULES[name], battle) for battle, *_ in battles())
    for battle, _, pathable in battles():
        found += compare_ends(RULES[name], battle, pathable)
    assert set(found) == different
    assert min(ends[end] for end in (1, -1, None)) > 20  # enough of each to compare


@pytest.mark.parametrize(
    ("name", "only_positive", "different"),
    [
        ("SMAC", False, {smac.REGAINED, smac.LEFT_OVER}),
        ("REFIL", False, {smac.REGAINED, smac.LEFT_OVER}),
        ("SMACv2", False, {smac.REGAINED, smac.LEFT_OVER}),
        ("SMACv2", True, set()),
    ],
)
def test_the_reward_differs_only_as_declared(
    name: str, only_positive: bool, different: set[str]
) -> None:
    found: Counter[str] = Counter()
    for before, after, _ in battles():
        found += compare_rewards(RULES[name], before, after, only_positive)
    assert set(found) == different


def test_every_declared_difference_is_one() -> None:
    rest = {smac.SEVERAL, smac.REGAINED, smac.LEFT_OVER}
    assert set.union(ACTIONS, *SIGHTS.values()) | rest == set(smac.DIFFERENCES)
