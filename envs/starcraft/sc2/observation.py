"""Translates the game's observations into ``Units``.

Shape legend: ``A`` ally slots, ``E`` entity slots, ``W`` x ``H`` the map's cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from s2clientprotocol import raw_pb2

from ..team_view import MEDIVAC
from ..units import HALF_MOVE, MOVES, BoolArray, FloatArray, Units
from .unit_types import LONGEST_COOLDOWN


def write_units(
    shown: Iterable[raw_pb2.Unit], slot_of_tag: Mapping[int, int], centre: FloatArray, into: Units
) -> None:
    """Writes an observation into the arrays of one battle.

    A unit that the observation does not contain is dead and keeps its position. The game does not
    report the weapon cooldowns of enemies; they are 0. A medivac's energy takes the place of its
    cooldown, as in SMAC.

    Args:
        shown: The units of an observation.
        slot_of_tag: The slot of each unit of the battle, by the game's tag.
        centre: [2], the map's centre in the game's coordinates.
        into: The battle, without a leading shape. Its arrays are overwritten.
    """
    alive = [unit for unit in shown if unit.tag in slot_of_tag]
    slots = [slot_of_tag[unit.tag] for unit in alive]
    for array in (into.health, into.shield, into.cooldown):
        array[:] = 0.0
    if not alive:
        return
    into.health[slots] = [unit.health for unit in alive]
    into.shield[slots] = [unit.shield for unit in alive]
    into.max_health[slots] = [unit.health_max for unit in alive]
    into.max_shield[slots] = [unit.shield_max for unit in alive]
    into.position[slots] = np.array([(unit.pos.x, unit.pos.y) for unit in alive]) - centre
    kind = into.unit_type[slots]
    energy = np.array([unit.energy for unit in alive])
    cooldown = np.where(kind == MEDIVAC, energy, [unit.weapon_cooldown for unit in alive])
    into.cooldown[slots] = np.clip(cooldown / LONGEST_COOLDOWN[kind], 0.0, 1.0)


def can_move(
    position: FloatArray, pathing: BoolArray, centre: FloatArray, smac_masks: bool = False
) -> BoolArray:
    """[A, 4] bool, True = the cell half a move ahead is inside the map and pathable.

    Args:
        position: [A, 2] map units from the centre.
        pathing: [W, H] bool.
        centre: [2], the map's centre in the game's coordinates.
        smac_masks: Round coordinates towards 0, as SMAC does. A point less than 1 beyond the west
            or south edge then counts as in the outermost cell.
    """
    ahead = position[:, None] + centre + HALF_MOVE * np.array(MOVES)
    cell = (np.trunc if smac_masks else np.floor)(ahead).astype(np.int64)
    inside = ((cell >= 0) & (cell < pathing.shape)).all(-1)
    x, y = np.moveaxis(np.clip(cell, 0, np.array(pathing.shape) - 1), -1, 0)
    return inside & pathing[x, y]


def pathing_grid(start: raw_pb2.StartRaw) -> BoolArray:
    """[W, H] bool, True = pathable. Cell (0, 0) is the lower left one.

    The game sends rows of constant y with one bit per cell, the most significant bit first.
    Versions before 4.8 send one byte per cell, 0 = pathable, starting with the uppermost row.
    """
    width, height = start.map_size.x, start.map_size.y
    image = start.pathing_grid
    values = np.frombuffer(image.data, np.uint8)
    if image.bits_per_pixel == 1:
        return np.unpackbits(values)[: width * height].reshape(height, width).T.astype(bool)
    return ~values.reshape(height, width)[::-1].T.astype(bool)
