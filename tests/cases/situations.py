"""How the tests set up a battle: by hand (Units), or on SMAX with the units put in place.

Shape legend: ``N`` battles, ``A`` ally slots, ``F`` enemy slots, ``E = A + F``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from envs.starcraft.smax import SmaxBattles
from envs.starcraft.smax_program import MAP_SIZE
from envs.starcraft.tasks import parse_task
from envs.starcraft.team_view import FIRST_ATTACK, NO_OP, STOP, decided, team_view
from envs.starcraft.units import NO_ACTION_YET, UNIT_TYPES, BoolArray, FloatArray, IntArray, Units

SLOTS = 11  # of each side: enough for every task set, so that few shapes are compiled
FAR = 14.0  # map units from the centre; out of everybody's sight across the map

Policy = Callable[[Units], IntArray]


def start(
    task_names: Sequence[str],
    *,
    slots: int = SLOTS,
    first_seed: int = 0,
    uniform_ranges: bool = False,
) -> tuple[SmaxBattles, Units]:
    """One battle on SMAX for each name."""
    battles = SmaxBattles(len(task_names), slots, slots, uniform_ranges)
    return battles, restart(battles, task_names, first_seed)


def restart(battles: SmaxBattles, task_names: Sequence[str], first_seed: int) -> Units:
    """All battles anew, with a seed for each."""
    tasks = [parse_task(name) for name in task_names]
    seeds = range(first_seed, first_seed + len(tasks))
    return battles.reset(np.arange(len(tasks)), tasks, seeds)


def put(
    battles: SmaxBattles,
    *,
    position: FloatArray | None = None,
    health: FloatArray | None = None,
    cooldown: float | None = None,
) -> Units:
    """Moves, hurts or disarms units of running battles, in SMAX's own state.

    Args:
        battles: The battles.
        position: [N, E, 2] map units from the centre.
        health: [N, E] hit points.
        cooldown: Seconds until every weapon may fire.
    """
    units = battles._state.state
    if position is not None:
        where = jnp.asarray(position + MAP_SIZE / 2, jnp.float32)
        units = replace(units, unit_positions=where)
    if health is not None:
        left = jnp.asarray(health, jnp.float32)
        units = replace(units, unit_health=left, unit_alive=left > 0)
    if cooldown is not None:
        units = replace(
            units, unit_weapon_cooldowns=jnp.full_like(units.unit_weapon_cooldowns, cooldown)
        )
    battles._state = replace(battles._state, state=units)
    nothing = np.zeros(0, np.int64)
    return battles.reset(nothing, [], [])  # reads the state anew


def duel(
    gap: float, *, types: str = "1m_vs_1m", uniform_ranges: bool = False, at: float = 0.0
) -> tuple[SmaxBattles, Units, int, int]:
    """One ally, and one enemy ``gap`` to its east; also their slots' entity indices."""
    battles, units = start([types], uniform_ranges=uniform_ranges)
    ally, enemy = np.flatnonzero(units.present[0])
    position = units.position.copy()
    position[0, ally] = at, 0.0
    position[0, enemy] = at + gap, 0.0
    return battles, put(battles, position=position), int(ally), int(enemy)


def do(units: Units, agent: int | None = None, action: int = STOP) -> IntArray:
    """[N, A] actions: one agent's in every battle, the others stop."""
    actions = np.full(units.last_action.shape, STOP)
    if agent is not None:
        actions[:, agent] = action
    return actions


def random_actions(units: Units, rng: np.random.Generator) -> IntArray:
    """[N, A], drawn uniformly among the allowed ones."""
    mask = team_view(units).action_mask
    return np.where(mask, rng.random(mask.shape), -1.0).argmax(-1)


def attack_closest(units: Units) -> IntArray:
    """[N, A]: shoots the closest enemy in range, else walks towards the nearest enemy."""
    return closest_policy(units.position, units.alive, units.attack_range, units.max_allies)


def closest_policy(
    position: FloatArray, alive: BoolArray, attack_range: FloatArray, allies: int
) -> IntArray:
    """``attack_closest`` on bare arrays, so that other simulators can be played by it."""
    offset = position[:, None, allies:] - position[:, :allies, None]  # N,A,F,2
    distance = np.where(alive[:, None, allies:], np.linalg.norm(offset, axis=-1), np.inf)
    closest = distance.argmin(-1)  # N,A
    east, north = np.moveaxis(
        np.take_along_axis(offset, closest[..., None, None], 2)[:, :, 0], -1, 0
    )
    along = np.where(east > 0, 4, 5)
    across = np.where(north > 0, 2, 3)
    walk = np.where(np.abs(east) > np.abs(north), along, across)
    in_range = distance.min(-1) < attack_range[:, :allies]
    return np.where(alive[:, :allies], np.where(in_range, FIRST_ATTACK + closest, walk), NO_OP)


def play(battles: SmaxBattles, units: Units, policy: Policy, steps: int = 100) -> list[Units]:
    """The moments of N battles, until all are decided or the steps are over."""
    moments = [units]
    while not decided(moments[-1]).all() and len(moments) <= steps:
        moments.append(battles.step(policy(moments[-1])))
    return moments


def units_by_hand(allies: int, enemies: int, *, present: Sequence[int] | None = None) -> Units:
    """One battle [1, ...] of healthy marines, all at the centre, which tests then change."""
    slots = allies + enemies
    is_present = np.zeros((1, slots), bool)
    is_present[0, list(range(slots)) if present is None else present] = True
    return Units(
        present=is_present,
        unit_type=np.full((1, slots), UNIT_TYPES.index("marine"), np.int8),
        max_health=np.float32(45.0) * is_present,
        max_shield=np.zeros((1, slots), np.float32),
        sight_range=np.float32(9.0) * is_present,
        attack_range=np.float32(5.0) * is_present,
        health=np.float32(45.0) * is_present,
        shield=np.zeros((1, slots), np.float32),
        cooldown=np.zeros((1, slots), np.float32),
        position=np.zeros((1, slots, 2), np.float32),
        can_move=np.ones((1, allies, 4), bool) & is_present[:, :allies, None],
        last_action=np.full((1, allies), NO_ACTION_YET, np.int8),
        step=np.zeros(1, np.int16),
    )
