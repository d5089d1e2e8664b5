"""One SMAX battle as JAX functions, compiled for N battles at once.

Source of the simulator: Rutherford et al., *JaxMARL* (2023), ``jaxmarl.environments.smax``.

Shape legend: see ``envs.starcraft.units``. The functions of one battle have no axis ``N``.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..team_view import FIRST_MOVE, STOP
from ..units import (
    HALF_MAP,
    HALF_MOVE,
    MOVES,
    UNIFORM_ATTACK_RANGE,
    UNIFORM_SIGHT_RANGE,
    UNIT_TYPES,
)
from .compilation import (
    battle_device,
    compiled,
    default_numerics,
    keep_compiled_programs,
)
from .import_smax import SMAX, BattleState, HeuristicEnemySMAX, UnitState

MAP_SIZE = 2 * HALF_MAP
# SMAX's number for our no-op, stop, north, south, east and west; its attacks begin at 5.
SMAX_MOVES = (4, 4, 0, 2, 1, 3)
SMAX_FIRST_ATTACK = 5


class SmaxProgram:
    """One battle at the largest team sizes, compiled for N battles.

    The program holds no battle, so all battles of equal team sizes share it (see
    ``smax_program``).

    Attributes:
        smax: JaxMARL's environment.
        smax_type: [9] SMAX's index of each of ``UNIT_TYPES``, -1 where SMAX has no such type.
        walls_kill: Whether units that touch the map's edge die.
        max_health: Hit points by SMAX's type index, with a zero at the end for absent units.
        sight_range: Map units, likewise.
        attack_range: Map units, likewise.
        start: ``_new_battle`` of N battles.
        restart: ``_restart`` of N battles.
        step: ``_step`` of N battles.
    """

    def __init__(
        self, max_allies: int, max_enemies: int, uniform_ranges: bool, walls_kill: bool
    ) -> None:
        keep_compiled_programs()
        self._arguments = max_allies, max_enemies, uniform_ranges, walls_kill
        self.max_allies = max_allies
        self.max_enemies = max_enemies
        self.walls_kill = walls_kill
        self.smax = _make_smax(max_allies, max_enemies, uniform_ranges, walls_kill)
        self.smax_type = np.array(
            [_smax_index(self.smax.unit_type_names, name) for name in UNIT_TYPES]
        )
        self.max_health = _table(self.smax.unit_type_health)
        self.sight_range = _table(self.smax.unit_type_sight_ranges)
        self.attack_range = _table(self.smax.unit_type_attack_ranges)
        self.start = compiled(self._new_battle)
        self.restart = compiled(self._restart)
        self.step = compiled(self._step)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies the arguments, because compiled functions cannot be pickled."""
        return smax_program, self._arguments

    def _new_battle(
        self, seed: jax.Array, smax_type: jax.Array, present: jax.Array, position: jax.Array
    ) -> tuple[jax.Array, BattleState]:
        """A battle's key and state from its seed [] and its spawn [E], [E], [E, 2]."""
        units = UnitState(
            done=jnp.array(False),
            step=jnp.array(0, jnp.int32),
            unit_positions=position + MAP_SIZE / 2,
            unit_alive=present,
            unit_teams=self.smax.teams,
            unit_health=jnp.where(present, self.smax.unit_type_health[smax_type], 0.0),
            unit_types=smax_type,
            unit_weapon_cooldowns=jnp.zeros(present.shape),
            prev_movement_actions=jnp.zeros((*present.shape, 2)),
            prev_attack_actions=jnp.zeros(present.shape, jnp.int32),
        )
        key, enemy_key = jax.random.split(jax.random.PRNGKey(seed))
        state = BattleState(
            state=self._on_the_map(self.smax._push_units_away(units)),
            enemy_policy_state=self.smax.get_enemy_policy_initial_state(enemy_key),
        )
        return key, _strongly_typed(state)

    def _restart(
        self,
        is_reset: jax.Array,
        key: jax.Array,
        state: BattleState,
        seed: jax.Array,
        smax_type: jax.Array,
        present: jax.Array,
        position: jax.Array,
    ) -> tuple[Any, ...]:
        """The battle unchanged, or a new one where ``is_reset`` [].

        Returns:
            The key, the state, health [E], positions [E, 2] and possible moves [A, 4].
        """
        new = self._new_battle(seed, smax_type, present, position)
        key, state = jax.tree.map(lambda n, o: jnp.where(is_reset, n, o), new, (key, state))
        units = state.state
        return key, state, units.unit_health, *self._positions_and_moves(units, present)

    def _step(
        self, key: jax.Array, state: BattleState, present: jax.Array, actions: jax.Array
    ) -> tuple[Any, ...]:
        """Plays one step of one battle; ``actions`` [A].

        Returns:
            The key, the state, health [E], cooldowns [E], positions [E, 2] and possible moves
            [A, 4].
        """
        key, step_key = jax.random.split(key)
        actions = jnp.where(self._allowed(state.state, present, actions), actions, STOP)
        attacks = SMAX_FIRST_ATTACK + jnp.arange(self.max_enemies)
        smax_actions = jnp.concatenate([jnp.array(SMAX_MOVES), attacks])[actions]
        named = dict(zip(self.smax.agents, smax_actions, strict=True))
        _, state, *_ = self.smax.step_env(step_key, state, named)
        units = self._on_the_map(state.state)
        state = _strongly_typed(replace(state, state=units))
        periods = self.smax.unit_type_weapon_cooldowns[units.unit_types]
        cooldown = jnp.where(
            present, jnp.clip(units.unit_weapon_cooldowns / periods, 0.0, 1.0), 0.0
        )
        return key, state, units.unit_health, cooldown, *self._positions_and_moves(units, present)

    def _on_the_map(self, units: UnitState) -> UnitState:
        """Stops units at the edge, across which SMAX pushes them, unless they have to die there."""
        if self.walls_kill:
            return units
        return replace(units, unit_positions=jnp.clip(units.unit_positions, 0.0, MAP_SIZE))

    def _allowed(self, units: UnitState, present: jax.Array, actions: jax.Array) -> jax.Array:
        """[A] bool, whether each action is allowed at the start of the step.

        SMAX itself also shoots at an enemy that comes into range during the step.
        """
        position, can_move = self._positions_and_moves(units, present)
        allies, enemies = slice(self.max_allies), slice(self.max_allies, None)
        distance = jnp.linalg.norm(position[allies, None] - position[None, enemies], axis=-1)
        reach = self.smax.unit_type_attack_ranges[units.unit_types[allies]]
        in_range = (distance < reach[:, None]) & units.unit_alive[enemies]
        no_op_and_stop = jnp.ones((self.max_allies, FIRST_MOVE), bool)
        mask = jnp.concatenate([no_op_and_stop, can_move, in_range], axis=-1)  # [A, U]
        return jnp.take_along_axis(mask, actions[:, None], axis=-1)[:, 0]

    def _positions_and_moves(
        self, units: UnitState, present: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Positions from the map's centre [E, 2], and which moves are possible [A, 4].

        Moves have to stay inside the map. Where walls kill, all moves are possible, as in SMAX
        itself, and a unit that was pushed over the edge is shown at the edge until it dies.
        """
        allies = slice(self.max_allies)
        position = jnp.where(present[:, None], units.unit_positions - MAP_SIZE / 2, 0.0)
        if self.walls_kill:
            position = jnp.clip(position, -MAP_SIZE / 2, MAP_SIZE / 2)
            return position, jnp.broadcast_to(present[allies, None], (self.max_allies, len(MOVES)))
        ahead = position[allies, None] + HALF_MOVE * jnp.array(MOVES)  # [A, 4, 2]
        inside = jnp.all(jnp.abs(ahead) <= MAP_SIZE / 2, axis=-1)
        return position, inside & present[allies, None]


@cache
def smax_program(
    max_allies: int, max_enemies: int, uniform_ranges: bool, walls_kill: bool
) -> SmaxProgram:
    """The program for these team sizes. A process traces and compiles it once."""
    return SmaxProgram(max_allies, max_enemies, uniform_ranges, walls_kill)


def _strongly_typed(state: BattleState) -> BattleState:
    """Removes JAX's weak types, which would make JAX compile the step a second time."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), state)


def _make_smax(
    max_allies: int, max_enemies: int, uniform_ranges: bool, walls_kill: bool
) -> HeuristicEnemySMAX:
    with jax.default_device(battle_device()), default_numerics():
        stats = _unit_stats()
        if uniform_ranges:
            ones = jnp.ones_like(stats["unit_type_sight_ranges"])
            stats["unit_type_sight_ranges"] = UNIFORM_SIGHT_RANGE * ones
            stats["unit_type_attack_ranges"] = UNIFORM_ATTACK_RANGE * ones
        return HeuristicEnemySMAX(
            num_allies=max_allies, num_enemies=max_enemies, walls_cause_death=walls_kill, **stats
        )


def _unit_stats() -> dict[str, jax.Array]:
    """SMAX's stats of each unit type, in float32.

    They are default arguments of its class, made when it is imported: where JAX computes in 64 bits
    then, they have 64, and no program of 32 bits would compile.
    """
    arguments = inspect.signature(SMAX).parameters.values()
    stats = {a.name: a.default for a in arguments if isinstance(a.default, jax.Array)}
    return {name: jnp.asarray(stat, jnp.float32) for name, stat in stats.items()}


def _smax_index(smax_names: list[str], name: str) -> int:
    """SMAX's number of a unit type, -1 if SMAX does not have it."""
    return smax_names.index(name) if name in smax_names else -1


def _table(stats: jax.Array) -> np.ndarray:
    """A unit stat by SMAX's type index, with a zero at the end for absent units."""
    return np.append(np.asarray(stats, np.float32), np.float32(0.0))
