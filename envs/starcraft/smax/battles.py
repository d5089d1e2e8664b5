"""Battles on JaxMARL's SMAX: one compiled program for all tasks.

Every battle runs at the largest team sizes. The surplus units of a smaller task are dead from the
start, so SMAX does not move, show or target them. The task is data, not shape. The enemy is SMAX's
own heuristic: attack the closest unit in range until it is dead, else walk to the other side.

The battles run on the CPU (``compilation.battle_device``). JAX nevertheless starts every platform
that is installed, and reserves memory on a GPU: set ``JAX_PLATFORMS=cpu`` to prevent it.

Source of the simulator: Rutherford et al., *JaxMARL* (2023), ``jaxmarl.environments.smax``.

Shape legend: see ``envs.starcraft.units``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import jax
import numpy as np

from ....checks.forks import refuse_forked_child
from ..spawn import check_fits, draw_spawn
from ..tasks import Task
from ..units import HALF_MAP, MOVES, NO_ACTION_YET, BoolArray, IntArray, Units, empty_units
from .program import smax_program

# Map units that an agent needs ahead where walls kill. The fastest unit moves 2.1 in a
# step, and others may push it.
ROOM_AT_WALL = 2.5


class SmaxBattles:
    """N battles on SMAX; see ``envs.starcraft.battles.Battles``.

    Args:
        num_battles: N.
        max_allies: Number of ally slots, A.
        max_enemies: Number of enemy slots, F.
        uniform_ranges: SMAC's sight range 9 and shooting range 6 for every unit type, instead
            of the types' own.
        spawn: Where the armies start; a row of ``envs.starcraft.spawn.SPAWNS``.
        walls_kill: Units that touch the map's edge die, as in SMAX itself, and may start beyond it.
        avoid_walls: Where walls kill, no agent may move into one.
    """

    def __init__(
        self,
        num_battles: int,
        max_allies: int,
        max_enemies: int,
        uniform_ranges: bool = False,
        spawn: str = "ends",
        walls_kill: bool = False,
        avoid_walls: bool = False,
    ) -> None:
        refuse_forked_child()
        self.num_battles = num_battles
        self.max_allies = max_allies
        self.max_enemies = max_enemies
        self.failed = np.zeros(num_battles, bool)  # no separate game process that could die
        self.num_game_restarts = 0
        self.last_error = None
        self._spawn = spawn
        self._avoid_walls = walls_kill and avoid_walls
        self._program = smax_program(max_allies, max_enemies, uniform_ranges, walls_kill)
        self._units = empty_units(num_battles, max_allies, max_enemies)
        self._keys, self._state = self._program.start(
            np.zeros(num_battles, np.uint32),
            np.zeros((num_battles, max_allies + max_enemies), np.int32),
            np.zeros((num_battles, max_allies + max_enemies), bool),
            np.zeros((num_battles, max_allies + max_enemies, 2), np.float32),
        )

    def reset(self, which: IntArray, tasks: Sequence[Task], seeds: Sequence[int]) -> Units:
        """Starts new episodes in some of the battles; see ``Battles.reset``."""
        refuse_forked_child()
        units = self._units
        present, unit_type = units.present.copy(), units.unit_type.copy()
        position = units.position.copy()
        is_reset = np.zeros(self.num_battles, bool)
        is_reset[which] = True
        battle_seed = np.zeros(self.num_battles, np.uint32)
        slots, walls_kill = (self.max_allies, self.max_enemies), self._program.walls_kill
        for battle, task, seed in zip(which, tasks, seeds, strict=True):
            check_fits(task, *slots)
            rng = np.random.default_rng(seed)
            spawn = draw_spawn(task, *slots, rng, self._spawn, beyond_edge=walls_kill)
            present[battle] = spawn.present
            unit_type[battle] = spawn.unit_type
            position[battle] = spawn.position
            battle_seed[battle] = rng.integers(2**32, dtype=np.uint32)
        program = self._program
        smax_type = program.smax_type[unit_type]  # [N, E]
        self._keys, self._state, health, position, can_move = program.restart(
            is_reset, self._keys, self._state, battle_seed, smax_type, present, position
        )
        stat = np.where(present, smax_type, -1)  # -1 is the zero at the end of each table
        self._units = Units(
            present=present,
            unit_type=unit_type,
            max_health=program.max_health[stat],
            max_shield=units.max_shield,
            sight_range=program.sight_range[stat],
            attack_range=program.attack_range[stat],
            health=np.asarray(health),
            shield=units.shield,
            cooldown=np.where(is_reset[:, None], np.float32(0.0), units.cooldown),
            position=np.asarray(position),
            can_move=self._moves(position, can_move),
            last_action=np.where(is_reset[:, None], np.int8(NO_ACTION_YET), units.last_action),
            step=np.where(is_reset, np.int16(0), units.step),
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
            can_move=self._moves(position, can_move),
            last_action=actions.astype(np.int8),
            step=units.step + np.int16(1),
        )
        return self._units

    def _moves(self, position: jax.Array, can_move: jax.Array) -> BoolArray:
        """[N, A, 4] bool, the moves that agents may make: those of SMAX, without deadly ones."""
        if not self._avoid_walls:
            return np.asarray(can_move)
        agents = np.asarray(position)[:, : self.max_allies]  # N,A,2
        ahead = agents @ np.array(MOVES, np.float32).T  # N,A,4 map units from the centre
        return np.asarray(can_move) & (ahead <= HALF_MAP - ROOM_AT_WALL)

    def get_state(self) -> dict[str, np.ndarray]:
        """SMAX's own state, its random keys and the units; see ``battles.Resumable``."""
        leaves, _ = jax.tree_util.tree_flatten_with_path((self._keys, self._state))
        arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
        return arrays | {field.name: getattr(self._units, field.name) for field in fields(Units)}

    def set_state(self, state: Mapping[str, np.ndarray]) -> Units:
        """Restores what ``get_state`` returned; see ``battles.Resumable``."""
        self._keys, self._state = jax.tree_util.tree_map_with_path(
            lambda path, leaf: jax.device_put(
                np.asarray(state[jax.tree_util.keystr(path)], leaf.dtype), leaf.sharding
            ),
            (self._keys, self._state),
        )
        self._units = Units(**{field.name: state[field.name] for field in fields(Units)})
        return self._units

    def close(self) -> None:
        """Does nothing: the battles run in this process."""
