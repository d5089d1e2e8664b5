"""The state of all units of N battles at one time step, as arrays; the same for every backend.

Shape legend: ``N`` battles (any leading shape, also ``B, T``), ``A`` ally slots, ``F`` enemy
slots, ``E = A + F`` entity slots, allies first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# In the order of the one-hot feature of the unit type.
UNIT_TYPES: tuple[str, ...] = (
    "marine",
    "marauder",
    "medivac",
    "stalker",
    "zealot",
    "colossus",
    "hydralisk",
    "zergling",
    "baneling",
)

NO_ACTION_YET = -1
HALF_MAP = 16.0  # map units from the centre to an edge
UNIFORM_SIGHT_RANGE = 9.0  # SMAC's ranges, equal for all unit types
UNIFORM_ATTACK_RANGE = 6.0
# A move is allowed if the point half a move ahead is inside the map (SMAC's move amount is 2).
HALF_MOVE = 1.0
# Unit vectors of the moves, in the order of the actions: north, south, east, west.
MOVES = ((0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (-1.0, 0.0))


@dataclass(frozen=True)
class Units:
    """All units of N battles. Absent slots are zero in every array.

    Attributes:
        present: [N, E] bool; True = the slot has a unit (dead or alive) in this episode.
        unit_type: [N, E] int8; index into ``UNIT_TYPES``.
        max_health: [N, E] hit points.
        max_shield: [N, E] hit points.
        sight_range: [N, E] map units; what is nearer is seen.
        attack_range: [N, E] map units; what is nearer may be attacked.
        health: [N, E] hit points; 0 = dead.
        shield: [N, E] hit points.
        cooldown: [N, E] time until the weapon can fire again, as a fraction of its period.
        position: [N, E, 2] map units from the map's centre; x points east, y north.
        can_move: [N, A, 4] bool; True = a move north, south, east or west is possible.
        last_action: [N, A] int8; -1 before the first step.
        step: [N] int16; steps since the start of the episode.
    """

    present: BoolArray
    unit_type: npt.NDArray[np.int8]
    max_health: FloatArray
    max_shield: FloatArray
    sight_range: FloatArray
    attack_range: FloatArray
    health: FloatArray
    shield: FloatArray
    cooldown: FloatArray
    position: FloatArray
    can_move: BoolArray
    last_action: npt.NDArray[np.int8]
    step: npt.NDArray[np.int16]

    @property
    def max_allies(self) -> int:
        """Number of ally slots, A."""
        return self.can_move.shape[-2]

    @property
    def alive(self) -> BoolArray:
        """[N, E] bool, True = the unit has health left."""
        return self.health > 0

    def __getitem__(self, index: Any) -> Units:
        """The units of some of the battles: indexes every array."""
        return self.map(lambda array: array[index])

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Units:
        """Applies ``function`` to every array."""
        return replace(self, **{f.name: function(getattr(self, f.name)) for f in fields(self)})


def empty_units(num_battles: int, max_allies: int, max_enemies: int) -> Units:
    """The units of N battles before their first reset: all slots are absent."""
    n, e = num_battles, max_allies + max_enemies
    stat = np.zeros((n, e), np.float32)
    return Units(
        present=np.zeros((n, e), bool),
        unit_type=np.zeros((n, e), np.int8),
        max_health=stat,
        max_shield=stat,
        sight_range=stat,
        attack_range=stat,
        health=stat,
        shield=stat,
        cooldown=stat,
        position=np.zeros((n, e, 2), np.float32),
        can_move=np.zeros((n, max_allies, 4), bool),
        last_action=np.full((n, max_allies), NO_ACTION_YET, np.int8),
        step=np.zeros(n, np.int16),
    )
