"""Creates and removes armies by debug commands, and matches the game's units to slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from s2clientprotocol import common_pb2, debug_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from ..spawn import Spawn
from ..units import FloatArray
from .unit_types import ENEMY_IDS

LEARNER, ENEMY = 1, 2  # the owners of units, as the players are created


def owned(units: Iterable[raw_pb2.Unit]) -> list[raw_pb2.Unit]:
    """The units of both armies, without neutral units."""
    return [unit for unit in units if unit.owner in (LEARNER, ENEMY)]


def kill(units: Iterable[raw_pb2.Unit]) -> sc_pb.Request:
    """The request that removes units from the map."""
    tags = [unit.tag for unit in units]
    command = debug_pb2.DebugCommand(kill_unit=debug_pb2.DebugKillUnit(tag=tags))
    return sc_pb.Request(debug=sc_pb.RequestDebug(debug=[command]))


def owners_and_types(
    spawn: Spawn, max_allies: int, learner_ids: np.ndarray
) -> list[tuple[int, int]]:
    """The owner and the game's unit type of each present slot, in the order of the slots."""
    return [
        (LEARNER, int(learner_ids[kind])) if slot < max_allies else (ENEMY, int(ENEMY_IDS[kind]))
        for slot, kind in zip(_present(spawn), spawn.unit_type[spawn.present], strict=True)
    ]


def create(spawn: Spawn, wanted: Sequence[tuple[int, int]], centre: FloatArray) -> sc_pb.Request:
    """The request that creates the units of both armies.

    Args:
        spawn: The positions.
        wanted: The result of ``owners_and_types``.
        centre: [2], the map's centre in the game's coordinates.
    """
    commands = [
        debug_pb2.DebugCommand(
            create_unit=debug_pb2.DebugCreateUnit(
                unit_type=unit_type, owner=owner, pos=common_pb2.Point2D(x=x, y=y), quantity=1
            )
        )
        for (owner, unit_type), (x, y) in zip(
            wanted, (spawn.position[spawn.present] + centre).tolist(), strict=True
        )
    ]
    return sc_pb.Request(debug=sc_pb.RequestDebug(debug=commands))


def match_slots(
    units: Sequence[raw_pb2.Unit], spawn: Spawn, wanted: Sequence[tuple[int, int]]
) -> dict[int, int] | None:
    """The slot of each unit's tag, or None if the units are not exactly the wanted ones.

    Units of the same owner and type are interchangeable, so they get their slots in any order.
    """
    if Counter((unit.owner, unit.unit_type) for unit in units) != Counter(wanted):
        return None
    by_kind = sorted(units, key=lambda unit: (unit.owner, unit.unit_type, unit.tag))
    slots = sorted(zip(wanted, _present(spawn), strict=True))
    return {unit.tag: slot for unit, (_, slot) in zip(by_kind, slots, strict=True)}


def _present(spawn: Spawn) -> list[int]:
    return np.flatnonzero(spawn.present).tolist()
