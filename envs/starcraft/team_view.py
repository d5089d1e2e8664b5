"""What a team observes of its battles: Units -> entities, visibility, action mask.

Only this module computes the features. They are the same for every backend, so one policy plays on
all of them.

Shape legend: ``N`` battles (any leading shape, also ``B, T``), ``A`` ally slots (the agents),
``F`` enemy slots, ``E = A + F`` entity slots, allies first, ``D`` entity features, ``U`` actions.

Actions (SMAC's order): 0 no-op (dead and absent agents only), 1 stop, 2 north, 3 south, 4 east,
5 west, 6 + k attack the enemy with tag k. A medivac has no weapon: its 6 + k heals the ally with
tag k. Ally slots beyond the number of enemy slots have no such action, so ``EnvSettings`` gives
tasks with medivacs at least as many enemy slots as ally slots.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .units import HALF_MAP, UNIT_TYPES, BoolArray, FloatArray, IntArray, Units

NO_OP, STOP, FIRST_MOVE, FIRST_ATTACK = 0, 1, 2, 6
# Map units per unit of a position feature. It is small, so that distances within an army are large
# enough beside the one-hot features.
POSITION_SCALE = 2.0
# Features that count agents count no more than these. So they are the same in teams that are far
# larger than any trained one.
MOST_COUNTED = 4
# The feature of an entity at one edge of the map, relative to a team at the opposite edge.
LARGEST_FEATURE = 2 * HALF_MAP / POSITION_SCALE

# Features by name: [..., E, width], or [..., A, width] of those that only agents have.
Columns = dict[str, FloatArray | BoolArray]

# The only type that flies. It heals instead of attacking.
MEDIVAC = UNIT_TYPES.index("medivac")
ATTACKS_AIR = np.isin(UNIT_TYPES, ("marine", "stalker", "hydralisk"))
# A medivac heals biological units only: no machines and no other medivacs.
BIOLOGICAL = np.isin(
    UNIT_TYPES, ("marine", "marauder", "zealot", "hydralisk", "zergling", "baneling")
)


class TeamView(NamedTuple):
    """The input of the policy.

    Attributes:
        entities: [N, E, D] float32 features, zero for absent entities.
        present: [N, E] bool, True = the entity exists (dead or alive) in this episode.
        visible: [N, A, E] bool, True = the agent sees the entity.
        action_mask: [N, A, U] bool, True = the action is allowed now.
    """

    entities: FloatArray
    present: BoolArray
    visible: BoolArray
    action_mask: BoolArray


def num_actions(max_enemies: int) -> int:
    """U, the number of actions of an agent."""
    return FIRST_ATTACK + max_enemies


def feature_widths(max_allies: int, max_enemies: int, slot_features: bool = True) -> dict[str, int]:
    """The features of ``TeamView.entities`` in their order, and the number of columns of each.

    Args:
        max_allies: A.
        max_enemies: F.
        slot_features: Whether features have columns for single slots.
    """
    every_unit = {
        "alive": 1,
        "health": 1,  # fraction of the unit's maximum
        "shield": 1,
        "cooldown": 1,  # fraction of the weapon's period; agents only, as in StarCraft II
        "from_centre": 2,  # position from the map's centre, in POSITION_SCALE
        "from_team": 2,  # position from the centre of mass of the living allies
        "side": 1,  # 1 ally, -1 enemy
        "unit_type": len(UNIT_TYPES),
    }
    if slot_features:
        actions = num_actions(max_enemies)
        return every_unit | {
            "tag": max(max_allies, max_enemies),
            "may_do": actions,  # agents only: their action mask
            "did_last": actions,  # agents only: one-hot of their last action
        }
    return every_unit | {
        "may_do": FIRST_ATTACK + 1,  # all attacks count as one action
        "did_last": FIRST_ATTACK + 1,
        "in_range_of": 1,  # number of agents that may aim at it now, as a fraction of MOST_COUNTED
        "aimed_at_by": 1,  # number of agents whose last action was aimed at it, likewise
    }


def num_features(max_allies: int, max_enemies: int, slot_features: bool = True) -> int:
    """D, the number of features of an entity."""
    return sum(feature_widths(max_allies, max_enemies, slot_features).values())


def team_view(units: Units, smac_masks: bool = False, slot_features: bool = True) -> TeamView:
    """The team's view of N battles at one time step.

    Args:
        units: N battles.
        smac_masks: SMAC's action masks, which also allow what the game refuses: attacks on
            medivacs by units that cannot shoot up, and healing machines.
        slot_features: See ``feature_widths``.
    """
    distance, both_alive = _pairwise(units)
    visible = both_alive & (distance < units.sight_range[..., : units.max_allies, None])
    action_mask = _action_mask(units, distance, both_alive, smac_masks)
    entities = _entities(units, action_mask, slot_features)
    return TeamView(entities, units.present, visible, action_mask)


def allowed_actions(units: Units, smac_masks: bool = False) -> BoolArray:
    """[N, A, U] bool, the ``action_mask`` of ``team_view`` alone."""
    return _action_mask(units, *_pairwise(units), smac_masks)


def targets(units: Units, actions: IntArray) -> IntArray:
    """[N, A] the entity slot that each action [N, A] aims at, -1 where it aims at none.

    The slot is an enemy's, or an ally's where the agent is a medivac.
    """
    heals = units.unit_type[..., : units.max_allies] == MEDIVAC
    slot = actions.astype(np.int64) - FIRST_ATTACK + np.where(heals, 0, units.max_allies)
    return np.where(actions >= FIRST_ATTACK, slot, -1)


def _pairwise(units: Units) -> tuple[FloatArray, BoolArray]:
    """For every agent and entity [N, A, E]: their distance, and whether both are alive."""
    allies, alive = units.max_allies, units.alive
    x, y = units.position[..., 0], units.position[..., 1]
    east = x[..., None, :] - x[..., :allies, None]  # N,A,E
    north = y[..., None, :] - y[..., :allies, None]
    distance = np.sqrt(east * east + north * north)
    return distance, alive[..., :allies, None] & alive[..., None, :]


def _action_mask(
    units: Units, distance: FloatArray, both_alive: BoolArray, smac_masks: bool
) -> BoolArray:
    """[N, A, U] from the distances and who is alive, both [N, A, E]."""
    living = units.alive[..., : units.max_allies, None]
    in_range = both_alive & (distance < units.attack_range[..., : units.max_allies, None])
    target_mask = _target_mask(units, in_range, smac_masks)
    columns = [~living, living, units.can_move & living, target_mask]
    return np.concatenate(columns, axis=-1)


def _target_mask(units: Units, in_range: BoolArray, smac_masks: bool) -> BoolArray:
    """[N, A, F], True = 6 + k has a legal target, from who is alive and in range [N, A, E]."""
    allies = units.max_allies
    attack = in_range[..., allies:]
    flies = units.unit_type == MEDIVAC  # N,E
    if not flies.any():
        return attack
    ally_type = units.unit_type[..., :allies]
    heals = flies[..., :allies, None]
    attack = attack & ~heals
    if smac_masks:
        patients = ~flies[..., :allies]
    else:
        attack &= ATTACKS_AIR[ally_type][..., None] | ~flies[..., None, allies:]
        patients = BIOLOGICAL[ally_type]
    heal = in_range[..., :allies] & heals & patients[..., None, :]
    slots = min(allies, attack.shape[-1])
    attack[..., :slots] |= heal[..., :slots]
    return attack


def _entities(units: Units, action_mask: BoolArray, slot_features: bool) -> FloatArray:
    """[N, E, D] in the order of ``feature_widths``."""
    allies, slots = units.max_allies, units.health.shape[-1]
    columns = _columns_of_units(units)
    columns |= (_columns_of_slots if slot_features else _columns_of_counts)(units, action_mask)
    widths = feature_widths(allies, slots - allies, slot_features)
    entities = np.zeros((*units.health.shape, sum(widths.values())), np.float32)
    start = 0
    for name, width in widths.items():
        column = columns[name]
        entities[..., : column.shape[-2], start : start + width] = column
        start += width
    entities[~units.present] = 0.0
    return entities


def _columns_of_units(units: Units) -> Columns:
    """What a unit is and where."""
    allies, slots = units.max_allies, units.health.shape[-1]
    alive = units.alive[..., None].astype(np.float32)  # N,E,1
    team = alive[..., :allies, :]
    team_size = np.maximum(team.sum(-2, keepdims=True), 1.0)
    team_centre = (units.position[..., :allies, :] * team).sum(-2, keepdims=True) / team_size
    types = np.arange(len(UNIT_TYPES), dtype=units.unit_type.dtype)
    per_unit = alive / POSITION_SCALE
    return {
        "alive": alive,
        "health": _fraction(units.health, units.max_health),
        "shield": _fraction(units.shield, units.max_shield),
        "cooldown": units.cooldown[..., :allies, None] * team,
        "from_centre": units.position * per_unit,
        "from_team": (units.position - team_centre) * per_unit,
        "side": np.where(np.arange(slots) < allies, 1.0, -1.0)[:, None],
        "unit_type": units.unit_type[..., None] == types,
    }


def _columns_of_slots(units: Units, action_mask: BoolArray) -> Columns:
    """A unit's number, and its actions one by one."""
    allies, slots = units.max_allies, units.health.shape[-1]
    slot = np.arange(slots)
    number = np.where(slot < allies, slot, slot - allies)  # within its own side
    tags = np.arange(max(allies, slots - allies))
    return {
        "tag": number[:, None] == tags,
        "may_do": action_mask,
        "did_last": _did_last(units, action_mask),
    }


def _columns_of_counts(units: Units, action_mask: BoolArray) -> Columns:
    """A unit's actions with all attacks as one, and how many agents aim at it."""
    did_last, alive = _did_last(units, action_mask), units.alive[..., None]
    return {
        "may_do": _any_attack(action_mask),
        "did_last": _any_attack(did_last),
        "in_range_of": _count_aims(units, action_mask) * alive,
        "aimed_at_by": _count_aims(units, did_last) * alive,
    }


def _did_last(units: Units, action_mask: BoolArray) -> BoolArray:
    """[N, A, U] one-hot of the last actions."""
    actions = np.arange(action_mask.shape[-1], dtype=units.last_action.dtype)
    return units.last_action[..., None] == actions


def _any_attack(actions: BoolArray) -> BoolArray:
    """[N, A, U] -> [N, A, 7]: all attacks as one action."""
    attack = actions[..., FIRST_ATTACK:].any(-1, keepdims=True)
    return np.concatenate([actions[..., :FIRST_ATTACK], attack], axis=-1)


def _count_aims(units: Units, actions: BoolArray) -> FloatArray:
    """[N, E, 1] from 0 to 1: how many agents aim at an entity by these actions [N, A, U]."""
    allies, aims = units.max_allies, actions[..., FIRST_ATTACK:]
    heals = units.unit_type[..., :allies, None] == MEDIVAC
    count = np.zeros(units.health.shape, np.float32)
    if heals.any():
        slots = min(allies, aims.shape[-1])
        count[..., :slots] = np.count_nonzero(aims & heals, axis=-2)[..., :slots]
        aims = aims & ~heals
    count[..., allies:] = np.count_nonzero(aims, axis=-2)
    return np.minimum(count / MOST_COUNTED, np.float32(1))[..., None]


def _fraction(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Part / whole, 0 where the whole is 0; [N, E] -> [N, E, 1]."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)[..., None]
