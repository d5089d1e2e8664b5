"""What a battle earns: the reward of a step, whether it is won, and whether it is over.

Shape legend: ``N`` battles (any leading shape).
"""

from __future__ import annotations

import numpy as np

from .team_view import MEDIVAC
from .units import BoolArray, FloatArray, Units

# SMAC's reward: damage dealt, plus these, scaled so that the best return is MAX_RETURN.
REWARD_PER_KILL = 10.0
REWARD_WIN = 200.0
MAX_RETURN = 20.0


def won(units: Units) -> BoolArray:
    """[N] bool; True = an ally that can fight is alive, and no enemy that can fight."""
    allies, enemies = _armies_fight(units)
    return allies & ~enemies


def decided(units: Units) -> BoolArray:
    """[N] bool; True = the battle is over: an army has no living unit that can fight."""
    allies, enemies = _armies_fight(units)
    return ~(allies & enemies)


def _armies_fight(units: Units) -> tuple[BoolArray, BoolArray]:
    """[N] bool each: whether a unit that can fight is alive, of the allies and of the enemies.

    Medivacs alone cannot fight, so a battle ends when an army has nothing else left. If neither
    army has, it is lost (SMAC's rule).
    """
    fights = units.alive & (units.unit_type != MEDIVAC)
    allies = units.max_allies
    return fights[..., :allies].any(-1), fights[..., allies:].any(-1)


def reward(before: Units, after: Units, only_positive: bool = False) -> FloatArray:
    """[N] the team's reward for the step from ``before`` to ``after`` of the same battles.

    It counts what the enemies' health and shield lose. What they regain counts against it, so the
    rewards of an episode sum to at most ``MAX_RETURN``, and to exactly that if the battle is won:
    medivacs that the winning step leaves over count as killed.

    Args:
        before: N battles.
        after: The same battles one step later.
        only_positive: SMACv2's reward: a step in which the enemies regain more than they lose
            gives 0, and medivacs that are left over give nothing. An episode's rewards can then
            sum to more or less than ``MAX_RETURN``.
    """
    enemies = slice(before.max_allies, None)
    points_before = (before.health + before.shield)[..., enemies]
    points_after = (after.health + after.shield)[..., enemies]
    left = after.alive[..., enemies]
    kills = (before.alive[..., enemies] & ~left).sum(-1)
    earned = (points_before - points_after).sum(-1) + REWARD_PER_KILL * kills
    if only_positive:
        earned = np.maximum(earned, 0.0)
    is_won = won(after)
    if is_won.any():  # rarely
        spared = 0.0 if only_positive else points_after.sum(-1) + REWARD_PER_KILL * left.sum(-1)
        earned = earned + (REWARD_WIN + spared) * (is_won & ~decided(before))
    maximum = (before.max_health + before.max_shield)[..., enemies].sum(-1)
    maximum = maximum + REWARD_PER_KILL * before.present[..., enemies].sum(-1) + REWARD_WIN
    return (earned * MAX_RETURN / maximum).astype(np.float32)
