"""What the units of a team do in their battles, counted: whom they shoot, and who pulls back.

Shape legend: ``S`` steps of any battles, ``A`` agents, ``F`` enemies.
"""

from __future__ import annotations

import numpy as np
from scripted_teams import DAMAGE, Situation

from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, FIRST_MOVE, targets
from rllib_ptm.envs.starcraft.units import BoolArray, FloatArray, IntArray, Units

WOUNDED = 0.5  # fraction of a unit's points


def conduct(before: Units, after: Units, actions: IntArray) -> dict[str, float]:
    """Counts what a team did in S steps.

    Args:
        before: The units [S] before each step.
        after: The same battles one step later.
        actions: [S, A].

    Returns:
        Shares by name, NaN where nothing was counted:

        - "holds fire": of the agents with a loaded weapon and an enemy in range, who do not attack.
        - "weakest", "healthiest", "closest": of the shots with a choice, those at this enemy in
          range. "by chance": those that would be at the weakest if the choice were random.
        - "wasted": of the damage, what is more than the target has left.
        - "on one enemy": of several shots in a step, those at the enemy that gets most.
        - "wounded", "unwounded": of these agents, if an enemy is in range, who step away from it.

        And "spread", the mean distance of the agents from their centre in a fight, in map units.
    """
    now = Situation(before)
    shots = fired(before, after, actions)
    return {
        "holds fire": _share(actions < FIRST_ATTACK, now.in_range.any(-1) & _loaded(before)),
        **_choices(now, shots, actions),
        **_concentration(now, shots, actions),
        **_steps_away(now, after, actions),
        "spread": _spread(now),
    }


def fired(before: Units, after: Units, actions: IntArray) -> BoolArray:
    """[S, A] True = the agent attacks, and its weapon reloads in this step."""
    allies = slice(before.max_allies)
    reloads = after.cooldown[:, allies] > before.cooldown[:, allies]
    return np.asarray((actions >= FIRST_ATTACK) & reloads)


def _loaded(units: Units) -> BoolArray:
    return np.asarray(units.cooldown[:, : units.max_allies] == 0)


def _points(units: Units) -> FloatArray:
    return units.health + units.shield


def _share(of: BoolArray | FloatArray, among: BoolArray) -> float:
    """The mean of ``of`` where ``among``."""
    return float(of[among].mean()) if among.any() else float("nan")


def _aimed(now: Situation, shots: BoolArray, actions: IntArray) -> IntArray:
    """[S, A] the number of the enemy that a shot is aimed at; 0 where there is no shot."""
    return np.where(shots, targets(now.units, actions) - now.units.max_allies, 0)


def _choices(now: Situation, shots: BoolArray, actions: IntArray) -> dict[str, float]:
    points = np.where(now.in_range, _points(now.units)[:, None, now.enemies], np.nan)  # S,A,F
    points = np.where(shots[..., None], points, 0.0)
    weakest, healthiest = np.nanmin(points, -1), np.nanmax(points, -1)
    choice = shots & (weakest < healthiest)
    aim = _aimed(now, shots, actions)[..., None]
    aimed = np.take_along_axis(points, aim, -1)[..., 0]
    nearest = np.take_along_axis(now.distance, aim, -1)[..., 0] == now.distance.min(-1)
    as_weak = (points == weakest[..., None]).sum(-1) / np.maximum(now.in_range.sum(-1), 1)
    return {
        "weakest": _share(aimed == weakest, choice),
        "healthiest": _share(aimed == healthiest, choice),
        "closest": _share(nearest, choice),
        "by chance": _share(as_weak, choice),
    }


def _concentration(now: Situation, shots: BoolArray, actions: IntArray) -> dict[str, float]:
    units, aim = now.units, _aimed(now, shots, actions)
    at = shots[..., None] & (aim[..., None] == np.arange(now.distance.shape[-1]))  # S,A,F
    damage = (at * DAMAGE[units.unit_type[:, now.allies, None]]).sum(1)  # S,F
    wasted = np.maximum(damage - _points(units)[:, now.enemies], 0.0).sum(-1)
    several = shots.sum(-1) > 1
    most = at.sum(1).max(-1) / np.maximum(shots.sum(-1), 1)
    return {
        "wasted": float(wasted.sum() / damage.sum()) if shots.any() else float("nan"),
        "on one enemy": _share(most, several),
    }


def _steps_away(now: Situation, after: Units, actions: IntArray) -> dict[str, float]:
    """Who steps away makes a move, and is then farther from where the closest enemy was."""
    units = now.units
    threatened = now.in_range.any(-1)
    nearest = now.distance.argmin(-1)[..., None]
    enemy = np.take_along_axis(units.position[:, now.enemies], nearest, 1)  # S,A,2
    distance = np.linalg.norm(after.position[:, now.allies] - enemy, axis=-1)
    moves = (actions >= FIRST_MOVE) & (actions < FIRST_ATTACK)
    away = moves & (distance > now.distance.min(-1))
    whole = np.maximum(units.max_health + units.max_shield, 1.0)
    wounded = (_points(units) / whole)[:, now.allies] < WOUNDED
    return {
        "wounded": _share(away, threatened & wounded),
        "unwounded": _share(away, threatened & ~wounded),
    }


def _spread(now: Situation) -> float:
    alive = now.units.alive[:, now.allies]
    offset = now.units.position[:, now.allies] - now.centre(now.allies)[:, None]
    fights = alive & now.fights & (alive.sum(-1, keepdims=True) > 1)
    return _share(np.linalg.norm(offset, axis=-1), fights)
