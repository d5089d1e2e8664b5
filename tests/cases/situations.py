"""Sets up battles for tests: constructs ``Units``, or places units in battles on SMAX.

Shape legend: ``N`` battles, ``A`` ally slots, ``F`` enemy slots, ``E = A + F``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from rllib_ptm.envs.starcraft.outcome import decided
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.smax.program import MAP_SIZE
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, NO_OP, STOP, team_view
from rllib_ptm.envs.starcraft.units import (
    NO_ACTION_YET,
    UNIT_TYPES,
    BoolArray,
    FloatArray,
    IntArray,
    Units,
)

SLOTS = 11  # of each side: enough for every task set, so that all tests share one program
FAR = 14.0  # map units from the centre; out of sight of units on the other side

Policy = Callable[[Units], IntArray]


def start(
    task_names: Sequence[str],
    *,
    slots: int = SLOTS,
    first_seed: int = 0,
    uniform_ranges: bool = False,
) -> tuple[SmaxBattles, Units]:
    """Starts one battle on SMAX per name."""
    battles = SmaxBattles(len(task_names), slots, slots, uniform_ranges)
    return battles, restart(battles, task_names, first_seed)


def restart(battles: SmaxBattles, task_names: Sequence[str], first_seed: int) -> Units:
    """Resets all battles, each with a seed of its own."""
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
    """Sets positions, health or cooldowns in the state of running battles on SMAX.

    Args:
        battles: The battles.
        position: [N, E, 2] map units from the centre.
        health: [N, E] hit points.
        cooldown: Seconds until each weapon can fire.
    """
    units = battles._state.state
    if position is not None:
        positions = jnp.asarray(position + MAP_SIZE / 2, jnp.float32)
        units = replace(units, unit_positions=positions)
    if health is not None:
        left = jnp.asarray(health, jnp.float32)
        units = replace(units, unit_health=left, unit_alive=left > 0)
    if cooldown is not None:
        units = replace(
            units, unit_weapon_cooldowns=jnp.full_like(units.unit_weapon_cooldowns, cooldown)
        )
    battles._state = replace(battles._state, state=units)
    no_battles = np.zeros(0, np.int64)
    return battles.reset(no_battles, [], [])  # reads the state again


def duel(
    gap: float, *, types: str = "1m_vs_1m", uniform_ranges: bool = False, at: float = 0.0
) -> tuple[SmaxBattles, Units, int, int]:
    """One ally, and one enemy ``gap`` east of it. Returns also their entity slots."""
    battles, units = start([types], uniform_ranges=uniform_ranges)
    ally, enemy = np.flatnonzero(units.present[0])
    position = units.position.copy()
    position[0, ally] = at, 0.0
    position[0, enemy] = at + gap, 0.0
    return battles, put(battles, position=position), int(ally), int(enemy)


def do(units: Units, agent: int | None = None, action: int = STOP) -> IntArray:
    """[N, A] actions: ``action`` for one agent of every battle, stop for the others."""
    actions = np.full(units.last_action.shape, STOP)
    if agent is not None:
        actions[:, agent] = action
    return actions


def random_actions(units: Units, rng: np.random.Generator) -> IntArray:
    """[N, A] random allowed actions."""
    mask = team_view(units).action_mask
    return np.where(mask, rng.random(mask.shape), -1.0).argmax(-1)


def attack_closest(units: Units) -> IntArray:
    """[N, A]: attacks the closest enemy if it is in range, else moves towards it."""
    return closest_policy(units.position, units.alive, units.attack_range, units.max_allies)


def closest_policy(
    position: FloatArray, alive: BoolArray, attack_range: FloatArray, allies: int
) -> IntArray:
    """``attack_closest`` on plain arrays, for other simulators."""
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
    """The units at each step, until all battles are over or ``steps`` are played."""
    history = [units]
    while not decided(history[-1]).all() and len(history) <= steps:
        history.append(battles.step(policy(history[-1])))
    return history


def units_by_hand(allies: int, enemies: int, *, present: Sequence[int] | None = None) -> Units:
    """One battle [1, ...] of healthy marines, all at the centre; tests change it further."""
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


def crowd(allies: list[int], enemies: list[int]) -> Units:
    """Units of these types, all within range of each other."""
    scene = units_by_hand(len(allies), len(enemies))
    return replace(scene, unit_type=np.array([allies + enemies], np.int8))
