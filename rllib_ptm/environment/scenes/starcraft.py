"""The scenes of StarCraft battles.

Who an enemy shoots at is in no record. An enemy that fires is told by its cooldown, and it is taken
to hit the nearest living ally in its range that loses health in the step.

Shapes: see ``scene``; ``F`` enemy slots, E = A + F.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from rllib_ptm.environment.contract import BoolArray, FloatArray, IntArray
from rllib_ptm.environment.scenes.scene import ALLY, ENEMY, NO_TARGET, Scene, Thing
from rllib_ptm.envs.starcraft.render import MARGIN, SHAPES
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, FIRST_MOVE, MEDIVAC, targets
from rllib_ptm.envs.starcraft.units import HALF_MAP, MOVES, UNIT_TYPES, Units

_GRID = 4.0  # map units
_PLAIN_ACTIONS = ("no-op", "stop", "north", "south", "east", "west")
# A cooldown falls by more than this share of its period in a step, unless the weapon has fired.
_LEAST_FALL = 0.05
# Map units that two units may come nearer or go apart within a step, beyond the weapon's range.
_SLACK = 2.5


def battle_scene(steps: Sequence[Units], actions: IntArray, title: str) -> Scene:
    """The scene of one battle.

    Args:
        steps: The battle at each of the T + 1 steps; arrays without the leading ``N``.
        actions: [T, A].
        title: What is played.
    """
    first = steps[0]
    position = np.stack([units.position for units in steps])
    health = np.stack([units.health for units in steps])
    shield = np.stack([units.shield for units in steps])
    left, whole = health + shield, first.max_health + first.max_shield
    armies = {"allies": slice(first.max_allies), "enemies": slice(first.max_allies, None)}
    return Scene(
        title=title,
        area=_area(position[:, first.present]),
        bounds=(-HALF_MAP, -HALF_MAP, 2 * HALF_MAP, 2 * HALF_MAP),
        grid=_GRID,
        things=tuple(_thing(first, entity) for entity in range(len(first.present))),
        position=position,
        alive=np.stack([units.alive for units in steps]),
        bars={
            "health": _shares(health, first.max_health),
            "shield": _shares(shield, first.max_shield),
            "cooldown": np.stack([units.cooldown for units in steps]),
        },
        actions=tuple(_action_names(first, agent) for agent in range(first.max_allies)),
        targets=_targets(first),
        directions={FIRST_MOVE + i: move for i, move in enumerate(MOVES)},
        shots=tuple(
            (*_allied_shots(before, after, chosen), *_enemy_shots(before, after))
            for (before, after), chosen in zip(pairwise(steps), actions, strict=True)
        ),
        curves={name: left[:, army].sum(-1) / whole[army].sum() for name, army in armies.items()},
        sides_of_curves={"allies": ALLY, "enemies": ENEMY},
        results=("won", "lost"),
    )


def _thing(units: Units, entity: int) -> Thing:
    is_ally = entity < units.max_allies
    tag = entity if is_ally else entity - units.max_allies
    kind = UNIT_TYPES[units.unit_type[entity]]
    shape = SHAPES[kind]
    full = {"health": float(units.max_health[entity]), "shield": float(units.max_shield[entity])}
    return Thing(
        name=f"{'ally' if is_ally else 'enemy'} {tag}",
        kind=kind,
        side=ALLY if is_ally else ENEMY,
        label=str(tag),
        radius=shape.radius,
        corners=shape.corners,
        ranges={
            "sight": float(units.sight_range[entity]),
            "attack": float(units.attack_range[entity]),
        },
        full={name: value for name, value in full.items() if value > 0},
    )


def _num_actions(units: Units) -> int:
    return FIRST_ATTACK + len(units.present) - units.max_allies


def _action_names(units: Units, agent: int) -> tuple[str, ...]:
    verb = "heal" if units.unit_type[agent] == MEDIVAC else "attack"
    aimed = (f"{verb} {tag}" for tag in range(_num_actions(units) - FIRST_ATTACK))
    return (*_PLAIN_ACTIONS, *aimed)


def _targets(units: Units) -> IntArray:
    """[A, U] the entity that each action of an agent aims at."""
    every_action = np.tile(np.arange(_num_actions(units))[:, None], units.max_allies)  # U,A
    aims = np.stack([targets(units, actions) for actions in every_action], 1)
    return np.where(aims < len(units.present), aims, NO_TARGET)


def _area(positions: FloatArray) -> tuple[float, float, float, float]:
    """The smallest rectangle with a margin around all positions [..., 2]."""
    corners = positions.reshape(-1, 2)
    west, south = (corners.min(0) - MARGIN).tolist()
    east, north = (corners.max(0) + MARGIN).tolist()
    return west, south, east - west, north - south


def _shares(points: FloatArray, full: FloatArray) -> FloatArray:
    """[T+1, E] points as shares of the most [E]; 0 where that is 0."""
    return np.divide(points, full, out=np.zeros_like(points), where=full > 0)


def _has_fired(before: Units, after: Units) -> BoolArray:
    """[E] True = the unit's weapon has fired in the step."""
    restarted = (after.cooldown > 0) & (after.cooldown > before.cooldown - _LEAST_FALL)
    return before.alive & restarted


def _allied_shots(before: Units, after: Units, actions: IntArray) -> list[tuple[int, int]]:
    """What agents have hit: by their actions, where the weapon has fired, or they heal."""
    aims = targets(before, actions.astype(np.int64))
    heals = before.unit_type[: before.max_allies] == MEDIVAC
    fired = (_has_fired(before, after)[: before.max_allies] | heals) & (aims >= 0)
    return [(int(agent), int(aims[agent])) for agent in np.flatnonzero(fired)]


def _enemy_shots(before: Units, after: Units) -> list[tuple[int, int]]:
    """What enemies have hit, as far as it can be told."""
    allies = before.max_allies
    loss = (before.health + before.shield - after.health - after.shield)[:allies]
    hit = np.flatnonzero(loss > 0)
    shots = []
    for enemy in allies + np.flatnonzero(_has_fired(before, after)[allies:]):
        distance = np.linalg.norm(before.position[hit] - before.position[enemy], axis=-1)
        if hit.size and distance.min() < before.attack_range[enemy] + _SLACK:
            shots.append((int(enemy), int(hit[distance.argmin()])))
    return shots
