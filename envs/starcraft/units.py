"""The record of arrays that describes N battles at one moment, whatever plays them.

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

# The order is the order of the unit type's one-hot feature, for every backend.
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
HALF_MAP = 16.0  # map units from the centre to an edge, on every backend
UNIFORM_SIGHT_RANGE = 9.0  # SMAC's ranges, the same for every unit type
UNIFORM_ATTACK_RANGE = 6.0
# A move is allowed if the point half a move ahead is inside the map (SMAC's move amount is 2).
HALF_MOVE = 1.0
MOVES = ((0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (-1.0, 0.0))  # north, south, east, west


@dataclass(frozen=True)
class Units:
    """All units of N battles. Absent slots are all zero.

    Attributes:
        present: [N, E] bool; the slot holds a unit (dead or alive) in this episode.
        unit_type: [N, E] int8; index into ``UNIT_TYPES``.
        max_health: [N, E] hit points.
        max_shield: [N, E] hit points.
        sight_range: [N, E] map units.
        attack_range: [N, E] map units.
        health: [N, E] hit points; 0 = dead.
        shield: [N, E] hit points.
        cooldown: [N, E] time until the weapon fires again, as a fraction of its period.
        position: [N, E, 2] map units from the map's centre, x to the east, y to the north.
        can_move: [N, A, 4] bool; north, south, east, west is inside the map and pathable.
        last_action: [N, A] int8; -1 before the first step.
        step: [N] int16; steps since the episode's start.
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
        """[N, E] bool."""
        return self.health > 0

    def __getitem__(self, index: Any) -> Units:
        """The same record for some of the battles: every array indexed alike."""
        return self.map(lambda array: array[index])

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Units:
        """The record of ``function(array)`` for every array."""
        return replace(self, **{f.name: function(getattr(self, f.name)) for f in fields(self)})


def empty_units(num_battles: int, max_allies: int, max_enemies: int) -> Units:
    """The record of N battles that have not begun."""
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
