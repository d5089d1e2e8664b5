"""Battles on JaxMARL's SMAX: one compiled program for all tasks.

Every battle runs at the largest team sizes. The surplus units of a smaller task are dead from
the start, so SMAX neither moves, shows nor targets them, and the task is data, not shape. The
enemy is SMAX's own heuristic: attack the closest, else walk to the other side.

Source of the simulator: Rutherford et al., *JaxMARL* (2023), ``jaxmarl.environments.smax``.

Shape legend: see ``envs.starcraft.units``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any

# The battles are small and sequential: a GPU would be slower, and belongs to the learner.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

from envs.errors import InputError
from envs.starcraft.compilation import compiled, keep_compiled_programs
from envs.starcraft.spawn import draw_spawn
from envs.starcraft.tasks import Task
from envs.starcraft.team_view import FIRST_MOVE, STOP
from envs.starcraft.units import (
    HALF_MAP,
    HALF_MOVE,
    MOVES,
    NO_ACTION_YET,
    UNIFORM_ATTACK_RANGE,
    UNIFORM_SIGHT_RANGE,
    UNIT_TYPES,
    IntArray,
    Units,
    empty_units,
)


@contextlib.contextmanager
def _not_run(*packages: str) -> Iterator[None]:
    """Modules of these packages are imported without what the packages themselves import.

    Of jaxmarl that is all its environments: two seconds, and two lines that it prints.
    """
    absent = [name for name in packages if name not in sys.modules]
    for name in absent:
        if spec := importlib.util.find_spec(name):
            sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)  # whoever imports it gets the whole of it


with _not_run("jaxmarl", "jaxmarl.environments"):
    from jaxmarl.environments.smax import HeuristicEnemySMAX
    from jaxmarl.environments.smax.heuristic_enemy_smax_env import State as BattleState
    from jaxmarl.environments.smax.smax_env import State as UnitState

MAP_SIZE = 2 * HALF_MAP
# SMAX's number for our no-op, stop, north, south, east and west; its attacks begin at 5.
SMAX_MOVES = (4, 4, 0, 2, 1, 3)
SMAX_FIRST_ATTACK = 5


class SmaxBattles:
    """N battles on SMAX; see ``envs.starcraft.battles.Battles``.

    Args:
        num_battles: N.
        max_allies: Number of ally slots, A.
        max_enemies: Number of enemy slots, F.
        uniform_ranges: SMAC's sight range 9 and shooting range 6 for every unit type, instead
            of the types' own.
    """

    def __init__(
        self, num_battles: int, max_allies: int, max_enemies: int, uniform_ranges: bool = False
    ) -> None:
        self.num_battles = num_battles
        self.max_allies = max_allies
        self.max_enemies = max_enemies
        self.failed = np.zeros(num_battles, bool)  # a simulation in this process does not break
        self.num_game_restarts = 0
        self._program = _program(max_allies, max_enemies, uniform_ranges)
        self._units = empty_units(num_battles, max_allies, max_enemies)
        self._keys, self._state = self._program.start(
            np.zeros(num_battles, np.uint32),
            np.zeros((num_battles, max_allies + max_enemies), np.int32),
            np.zeros((num_battles, max_allies + max_enemies), bool),
            np.zeros((num_battles, max_allies + max_enemies, 2), np.float32),
        )

    def reset(self, which: IntArray, tasks: Sequence[Task], seeds: Sequence[int]) -> Units:
        """Starts some of the battles anew; see ``Battles.reset``."""
        units = self._units
        present, unit_type = units.present.copy(), units.unit_type.copy()
        position = units.position.copy()
        chosen = np.zeros(self.num_battles, bool)
        chosen[which] = True
        battle_seed = np.zeros(self.num_battles, np.uint32)
        for battle, task, seed in zip(which, tasks, seeds, strict=True):
            self._check(task)
            rng = np.random.default_rng(seed)
            spawn = draw_spawn(task, self.max_allies, self.max_enemies, rng)
            present[battle] = spawn.present
            unit_type[battle] = spawn.unit_type
            position[battle] = spawn.position
            battle_seed[battle] = rng.integers(2**32, dtype=np.uint32)
        program = self._program
        smax_type = program.smax_type[unit_type]  # [N, E]
        self._keys, self._state, health, position, can_move = program.restart(
            chosen, self._keys, self._state, battle_seed, smax_type, present, position
        )
        stat = np.where(present, smax_type, -1)  # the last row of every table is zero
        self._units = Units(
            present=present,
            unit_type=unit_type,
            max_health=program.max_health[stat],
            max_shield=units.max_shield,
            sight_range=program.sight_range[stat],
            attack_range=program.attack_range[stat],
            health=np.asarray(health),
            shield=units.shield,
            cooldown=np.where(chosen[:, None], np.float32(0.0), units.cooldown),
            position=np.asarray(position),
            can_move=np.asarray(can_move),
            last_action=np.where(chosen[:, None], np.int8(NO_ACTION_YET), units.last_action),
            step=np.where(chosen, np.int16(0), units.step),
        )
        return self._units

    def step(self, actions: IntArray) -> Units:
        """Plays half a second of every battle; see ``Battles.step``."""
        self._keys, self._state, health, cooldown, position, can_move = self._program.step(
            self._keys, self._state, self._units.present, actions
        )
        units = self._units
        self._units = Units(
            present=units.present,
            unit_type=units.unit_type,
            max_health=units.max_health,
            max_shield=units.max_shield,
            sight_range=units.sight_range,
            attack_range=units.attack_range,
            health=np.asarray(health),
            shield=units.shield,
            cooldown=np.asarray(cooldown),
            position=np.asarray(position),
            can_move=np.asarray(can_move),
            last_action=actions.astype(np.int8),
            step=units.step + np.int16(1),
        )
        return self._units

    def get_state(self) -> dict[str, np.ndarray]:
        """SMAX's own state, its random keys and the record; see ``battles.Resumable``."""
        leaves, _ = jax.tree_util.tree_flatten_with_path((self._keys, self._state))
        arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
        return arrays | {field.name: getattr(self._units, field.name) for field in fields(Units)}

    def set_state(self, state: Mapping[str, np.ndarray]) -> Units:
        """Goes on from what ``get_state`` gave; see ``battles.Resumable``."""
        self._keys, self._state = jax.tree_util.tree_map_with_path(
            lambda path, leaf: jnp.asarray(state[jax.tree_util.keystr(path)], leaf.dtype),
            (self._keys, self._state),
        )
        self._units = Units(**{field.name: state[field.name] for field in fields(Units)})
        return self._units

    def close(self) -> None:
        """Nothing to end: the battles run in this process."""

    def _check(self, task: Task) -> None:
        if len(task.allies) > self.max_allies or len(task.enemies) > self.max_enemies:
            raise InputError(
                f"task {task.name!r} has {len(task.allies)} allies and {len(task.enemies)} "
                f"enemies, more than the {self.max_allies} and {self.max_enemies} slots"
            )


class _Program:
    """The compiled part: one battle at the largest team sizes, mapped over N.

    It holds no battle, so all battles of equal team sizes share one (see ``_program``).
    """

    def __init__(self, max_allies: int, max_enemies: int, uniform_ranges: bool) -> None:
        keep_compiled_programs()
        self._arguments = max_allies, max_enemies, uniform_ranges
        self.max_allies = max_allies
        self.max_enemies = max_enemies
        self.smax = _make_smax(max_allies, max_enemies, uniform_ranges)
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
        """Copies and pickles as its arguments, so that battles can be copied and pickled."""
        return _program, self._arguments

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
            state=self.smax._push_units_away(units),
            enemy_policy_state=self.smax.get_enemy_policy_initial_state(enemy_key),
        )
        return key, _strongly_typed(state)

    def _restart(
        self,
        chosen: jax.Array,
        key: jax.Array,
        state: BattleState,
        seed: jax.Array,
        smax_type: jax.Array,
        present: jax.Array,
        position: jax.Array,
    ) -> tuple[Any, ...]:
        """The battle as it is, or a new one where ``chosen``."""
        new = self._new_battle(seed, smax_type, present, position)
        key, state = jax.tree.map(lambda n, o: jnp.where(chosen, n, o), new, (key, state))
        units = state.state
        return key, state, units.unit_health, *_places(units, present, self.max_allies)

    def _step(
        self, key: jax.Array, state: BattleState, present: jax.Array, actions: jax.Array
    ) -> tuple[Any, ...]:
        """One step of one battle; actions [A]."""
        key, step_key = jax.random.split(key)
        actions = jnp.where(self._allowed(state.state, present, actions), actions, STOP)
        attacks = SMAX_FIRST_ATTACK + jnp.arange(self.max_enemies)
        smax_actions = jnp.concatenate([jnp.array(SMAX_MOVES), attacks])[actions]
        named = dict(zip(self.smax.agents, smax_actions, strict=True))
        _, state, *_ = self.smax.step_env(step_key, state, named)
        units = state.state
        # Units push each other after they have moved, also across the map's edge.
        units = replace(units, unit_positions=jnp.clip(units.unit_positions, 0.0, MAP_SIZE))
        state = _strongly_typed(replace(state, state=units))
        periods = self.smax.unit_type_weapon_cooldowns[units.unit_types]
        cooldown = jnp.where(
            present, jnp.clip(units.unit_weapon_cooldowns / periods, 0.0, 1.0), 0.0
        )
        return key, state, units.unit_health, cooldown, *_places(units, present, self.max_allies)

    def _allowed(self, units: UnitState, present: jax.Array, actions: jax.Array) -> jax.Array:
        """[A] bool. SMAX itself would shoot at who comes into range only during the step."""
        position, can_move = _places(units, present, self.max_allies)
        allies, enemies = slice(self.max_allies), slice(self.max_allies, None)
        distance = jnp.linalg.norm(position[allies, None] - position[None, enemies], axis=-1)
        reach = self.smax.unit_type_attack_ranges[units.unit_types[allies]]
        in_range = (distance < reach[:, None]) & units.unit_alive[enemies]
        no_op_and_stop = jnp.ones((self.max_allies, FIRST_MOVE), bool)
        mask = jnp.concatenate([no_op_and_stop, can_move, in_range], axis=-1)  # [A, U]
        return jnp.take_along_axis(mask, actions[:, None], axis=-1)[:, 0]


@cache
def _program(max_allies: int, max_enemies: int, uniform_ranges: bool) -> _Program:
    """The program for these team sizes, traced and compiled once per process."""
    return _Program(max_allies, max_enemies, uniform_ranges)


def _places(units: UnitState, present: jax.Array, max_allies: int) -> tuple[jax.Array, jax.Array]:
    """Positions from the centre [E, 2] and the moves that stay inside the map [A, 4]."""
    position = jnp.where(present[:, None], units.unit_positions - MAP_SIZE / 2, 0.0)
    ahead = position[:max_allies, None] + HALF_MOVE * jnp.array(MOVES)  # [A, 4, 2]
    inside = jnp.all(jnp.abs(ahead) <= MAP_SIZE / 2, axis=-1)
    return position, inside & present[:max_allies, None]


def _strongly_typed(state: BattleState) -> BattleState:
    """Drops JAX's weak types, for which the step would be compiled a second time."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), state)


def _make_smax(max_allies: int, max_enemies: int, uniform_ranges: bool) -> HeuristicEnemySMAX:
    smax = HeuristicEnemySMAX(
        num_allies=max_allies, num_enemies=max_enemies, walls_cause_death=False
    )
    if not uniform_ranges:
        return smax
    ones = jnp.ones(len(smax.unit_type_names))
    return HeuristicEnemySMAX(
        num_allies=max_allies,
        num_enemies=max_enemies,
        walls_cause_death=False,
        unit_type_sight_ranges=UNIFORM_SIGHT_RANGE * ones,
        unit_type_attack_ranges=UNIFORM_ATTACK_RANGE * ones,
    )


def _smax_index(smax_names: list[str], name: str) -> int:
    return smax_names.index(name) if name in smax_names else -1


def _table(stats: jax.Array) -> np.ndarray:
    """A unit stat by SMAX's type index, with a zero at the end for absent units."""
    return np.append(np.asarray(stats, np.float32), np.float32(0.0))
