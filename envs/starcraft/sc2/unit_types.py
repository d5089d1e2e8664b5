"""The unit types of StarCraft II.

Source: SMACv2, ``starcraft2.py`` (ids, ranges, longest cooldowns).
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from s2clientprotocol.data_pb2 import UnitTypeData

from ....checks.errors import InputError
from ..units import UNIFORM_ATTACK_RANGE, UNIFORM_SIGHT_RANGE, UNIT_TYPES, FloatArray

logger = logging.getLogger(__name__)

MIN_ATTACK_RANGE = 2.0  # of allies; with less, melee units would rarely be allowed to attack


class UnitType(NamedTuple):
    """The numbers of a unit type.

    Attributes:
        enemy_id: The game's standard id of the type, which the enemy's units have.
        learner_offset: The index among the map's nine types for the learning side. These are the
            game's last nine types; their units do not attack without an order.
        sight_range: Map units.
        attack_range: Map units.
        longest_cooldown: Game loops; for the medivac, which has no weapon, its largest energy.
    """

    enemy_id: int
    learner_offset: int
    sight_range: float
    attack_range: float
    longest_cooldown: float


SC2_UNITS: dict[str, UnitType] = {
    "marine": UnitType(48, 4, 9.0, 5.0, 15.0),
    "marauder": UnitType(51, 3, 10.0, 6.0, 25.0),
    "medivac": UnitType(54, 5, 11.0, 4.0, 200.0),
    "stalker": UnitType(74, 6, 10.0, 6.0, 35.0),
    "zealot": UnitType(73, 7, 9.0, 0.1, 22.0),
    "colossus": UnitType(4, 1, 10.0, 7.0, 24.0),
    "hydralisk": UnitType(107, 2, 9.0, 5.0, 10.0),
    "zergling": UnitType(105, 8, 8.0, 0.1, 11.0),
    "baneling": UnitType(9, 0, 8.0, 0.25, 1.0),
}
_ROWS = [SC2_UNITS[name] for name in UNIT_TYPES]
NUM_LEARNER_TYPES = len(_ROWS)

# The names of the map's own types in the order of their ids. The map itself misspells the colossus.
LEARNER_NAMES = (
    "Baneling_RL",
    "Colosus_RL",
    "Hydralisk_RL",
    "Marauder_RL",
    "Marine_RL",
    "Medivac_RL",
    "Stalker_RL",
    "Zealot_RL",
    "Zergling_RL",
)

# By index into UNIT_TYPES.
LONGEST_COOLDOWN = np.array([row.longest_cooldown for row in _ROWS], np.float32)
ENEMY_IDS = np.array([row.enemy_id for row in _ROWS])
_OFFSETS = np.array([row.learner_offset for row in _ROWS])
_SIGHT = np.array([row.sight_range for row in _ROWS], np.float32)
_ATTACK = np.array([max(row.attack_range, MIN_ATTACK_RANGE) for row in _ROWS], np.float32)


def learner_ids(num_types: int) -> np.ndarray:
    """The ids of the learning side's types, by index into ``UNIT_TYPES``.

    Args:
        num_types: The number of unit types of the game with this map.
    """
    return num_types - NUM_LEARNER_TYPES + _OFFSETS


def check_learner_types(types: Iterable[UnitTypeData]) -> None:
    """Checks that the map is the one that has the learning side's types.

    Versions of the map may spell a name in another way, as REFIL spells ``Colossus_RL``. So a name
    only has to be closest to the expected one. If the game names none, any map is taken.

    Args:
        types: All unit types of the game with this map, in the order of their ids.

    Raises:
        InputError: Its last types are others.
    """
    found = tuple(unit.name for unit in types)[-NUM_LEARNER_TYPES:]
    if len(found) == NUM_LEARNER_TYPES and not any(found):
        logger.warning("the game does not name the map's unit types, so they are not checked")
    elif tuple(map(_closest, found)) != LEARNER_NAMES:
        raise InputError(
            f"the last unit types of the map are {', '.join(filter(None, found)) or 'none'}; "
            f"expected {', '.join(LEARNER_NAMES)}"
        )


def _closest(name: str) -> str | None:
    """The name of a type of the learning side that is spelt most alike, if any is."""
    lower = {known.lower(): known for known in LEARNER_NAMES}
    closest = difflib.get_close_matches(name.lower(), lower, n=1)
    return lower[closest[0]] if closest else None


def ranges(uniform: bool) -> tuple[FloatArray, FloatArray]:
    """Sight and attack ranges by index into ``UNIT_TYPES``; SMAC's if ``uniform``.

    SMAC allows an attack at exactly the attack range, and ``team_view`` only below it. So the
    attack ranges are the next larger numbers.
    """
    sight, attack = _SIGHT, _ATTACK
    if uniform:
        ones = np.ones_like(_SIGHT)
        sight, attack = UNIFORM_SIGHT_RANGE * ones, UNIFORM_ATTACK_RANGE * ones
    return sight, np.nextafter(attack, np.float32(np.inf))
