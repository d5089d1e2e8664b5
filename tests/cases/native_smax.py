"""SMAX's own scenarios, played in ``jaxmarl`` itself and in our battles by one scripted team."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import numpy as np
import numpy.typing as npt
from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario
from jaxmarl.environments.smax.heuristic_enemy_smax_env import State as BattleState

from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.outcome import decided, reward, won
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.smax.program import _strongly_typed
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, FIRST_MOVE, NO_OP
from rllib_ptm.envs.starcraft.units import (
    HALF_MAP,
    UNIT_TYPES,
    BoolArray,
    FloatArray,
    IntArray,
    Units,
    empty_units,
)

STEPS = 101  # SMAX's own limit of 100 is tested before it counts the step
# Compiling takes longer than playing a thousand battles, so it is kept short.
QUICK_TO_COMPILE = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
# SMAX's number of our no-op, stop, north, south, east and west; its attacks begin at 5.
SMAX_ACTIONS = np.array([4, 4, 0, 2, 1, 3])


@dataclass
class Results:
    """How N battles went.

    Attributes:
        won: [N] bool.
        returns: [N] sums of our reward.
        lengths: [N] steps.
        wall_deaths: [N] units that died at the map's edge.
    """

    won: BoolArray
    returns: FloatArray
    lengths: IntArray
    wall_deaths: IntArray


class NativeBattles:
    """N battles of one of SMAX's scenarios in ``jaxmarl`` itself, with its own reset."""

    def __init__(self, scenario: str, num_battles: int) -> None:
        self.smax = HeuristicEnemySMAX(scenario=map_name_to_scenario(scenario))
        self._reset = jax.jit(jax.vmap(self._first_step))
        self._step = jax.jit(jax.vmap(self._one_step))
        self._of_type = np.array([UNIT_TYPES.index(name) for name in self.smax.unit_type_names])
        self._num_battles = num_battles

    def reset(self, seed: int) -> Units:
        """Starts N battles by SMAX's own reset."""
        self._key = jax.random.PRNGKey(seed)
        self._state = self._reset(self._keys())
        return self.units()

    def begin(self, battles: SmaxBattles) -> None:
        """Starts from the state of our battles instead, in as many slots as the scenario has."""
        self._state = battles._state

    def step(self, actions: IntArray, keys: jax.Array | None = None) -> Units:
        """Plays one step; ``keys`` [N] are its random numbers, if they are not to be drawn."""
        attacks = 5 + np.arange(self.smax.num_enemies)
        smax_actions = np.concatenate([SMAX_ACTIONS, attacks])[actions]
        keys = self._keys() if keys is None else keys
        self._state = self._step(keys, self._state, smax_actions)
        return self.units()

    def _first_step(self, key: jax.Array) -> BattleState:
        return _strongly_typed(self.smax.reset(key)[1])

    def _one_step(self, key: jax.Array, state: BattleState, actions: jax.Array) -> BattleState:
        named = dict(zip(self.smax.agents, actions, strict=True))
        return _strongly_typed(self.smax.step_env(key, state, named)[1])

    def _keys(self) -> jax.Array:
        self._key, key = jax.random.split(self._key)
        return jax.random.split(key, self._num_battles)

    def units(self) -> Units:
        """SMAX's state as ours has it; what no script or reward reads stays empty."""
        state, allies = self._state.state, self.smax.num_allies
        units = empty_units(self._num_battles, allies, self.smax.num_enemies)
        kind = np.asarray(state.unit_types)
        units.present[:] = True
        units.unit_type[:] = self._of_type[kind]
        stats = {
            "max_health": np.asarray(self.smax.unit_type_health, np.float32)[kind],
            "attack_range": np.asarray(self.smax.unit_type_attack_ranges, np.float32)[kind],
            "health": np.asarray(state.unit_health),
            "position": np.asarray(state.unit_positions) - np.float32(HALF_MAP),
        }
        return Units(**{**vars(units), **stats})


@cache
def native_battles(scenario: str, num_battles: int) -> NativeBattles:
    """The battles of a scenario, compiled once in a process."""
    return NativeBattles(scenario, num_battles)


def native_results(scenario: str, num_battles: int, seed: int) -> Results:
    """Plays the scenario in ``jaxmarl``."""
    battles = native_battles(scenario, num_battles)
    return results(battles.reset(seed), battles.step)


def our_results(
    scenario: str, num_battles: int, seed: int, slots: tuple[int | None, int | None] = (None, None)
) -> Results:
    """Plays the task of that name with ``spawn: smax``, in at least as many slots as it needs."""
    settings = EnvSettings(tasks=scenario, spawn="smax", max_allies=slots[0], max_enemies=slots[1])
    battles, tasks = settings.make_battles(num_battles), [parse_task(scenario)] * num_battles
    seeds = range(seed, seed + num_battles)
    return results(battles.reset(np.arange(num_battles), tasks, seeds), battles.step)


def results(units: Units, step: Callable[[IntArray], Units]) -> Results:
    """Plays N battles with ``attack_weakest``, each until it is decided or the limit is reached."""
    over = np.zeros(len(units.present), bool)
    is_won = over.copy()
    returns, lengths = np.zeros(len(over), np.float32), np.zeros(len(over), np.int64)
    wall_deaths = np.zeros(len(over), np.int64)
    for _ in range(STEPS):
        if over.all():
            break
        before, units = units, step(attack_weakest(units))
        returns += reward(before, units) * ~over
        lengths += ~over
        wall_deaths += np.where(over, 0, _deaths_at_walls(before, units))
        is_won |= won(units) & ~over
        over |= decided(units)
    return Results(is_won, returns, lengths, wall_deaths)


def attack_weakest(units: Units) -> IntArray:
    """[N, A]: attacks the weakest enemy in range, else walks towards the nearest enemy.

    It reads positions and health only, and enemies of equal health are told apart by distance: it
    does not depend on the order of the units.
    """
    allies = units.max_allies
    offset = units.position[:, None, allies:] - units.position[:, :allies, None]  # N,A,F,2
    lives = units.alive[:, None, allies:]
    distance = np.where(lives, np.linalg.norm(offset, axis=-1), np.inf)  # N,A,F
    in_range = distance < units.attack_range[:, :allies, None]
    health = np.where(in_range, units.health[:, None, allies:], np.inf)
    weakest = np.where(health == health.min(-1, keepdims=True), distance, np.inf).argmin(-1)
    nearest = distance.argmin(-1)[..., None, None]
    east, north = np.moveaxis(np.take_along_axis(offset, nearest, 2)[:, :, 0], -1, 0)
    along, across = np.where(east > 0, 2, 3), np.where(north > 0, 0, 1)
    walk = FIRST_MOVE + np.where(np.abs(east) > np.abs(north), along, across)
    actions = np.where(in_range.any(-1), FIRST_ATTACK + weakest, walk)
    return np.where(units.alive[:, :allies], actions, NO_OP)


def _deaths_at_walls(before: Units, after: Units) -> npt.NDArray[np.int64]:
    """[N] units of both sides that died in a step at the map's edge."""
    died = before.alive & ~after.alive
    return (died & (np.abs(after.position).max(-1) >= HALF_MAP)).sum(-1)


def standard_errors(ours: npt.NDArray, native: npt.NDArray) -> tuple[float, float]:
    """The difference of the means, and its standard error."""
    error = np.sqrt(ours.var(ddof=1) / len(ours) + native.var(ddof=1) / len(native))
    return float(ours.mean() - native.mean()), float(error)
