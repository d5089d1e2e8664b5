"""Translates the agents' actions into orders to the game's units.

Source: SMAC, ``starcraft2.py`` (abilities, and moves to a point two map units away).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from s2clientprotocol import common_pb2, debug_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from ..team_view import FIRST_MOVE, NO_OP, STOP, targets
from ..units import HALF_MOVE, MOVES, FloatArray, IntArray, Units

STOP_ABILITY, MOVE_ABILITY, ATTACK_ABILITY, HEAL_ABILITY = 4, 16, 23, 386
# Lets the player give orders to the enemy's units. A second time ends it.
CONTROL_ENEMY = debug_pb2.DebugCommand(game_state=debug_pb2.control_enemy)


def orders(
    actions: IntArray, units: Units, tag_of_slot: Mapping[int, int], centre: FloatArray
) -> sc_pb.Request:
    """The request that gives the team of one battle its orders.

    Args:
        actions: [A], all of them allowed.
        units: The battle, without a leading shape.
        tag_of_slot: The game's own tag of the unit in each slot.
        centre: [2], the map's centre in the game's coordinates.
    """
    target_slots = targets(units, actions)
    commands = []
    for agent in np.flatnonzero(actions != NO_OP).tolist():
        command = raw_pb2.ActionRawUnitCommand(unit_tags=[tag_of_slot[agent]], queue_command=False)
        action, target = int(actions[agent]), int(target_slots[agent])
        if target >= 0:
            is_ally = target < units.max_allies
            command.ability_id = HEAL_ABILITY if is_ally else ATTACK_ABILITY
            command.target_unit_tag = tag_of_slot[target]
        elif action == STOP:
            command.ability_id = STOP_ABILITY
        else:
            offset = 2 * HALF_MOVE * np.array(MOVES[action - FIRST_MOVE])
            to = units.position[agent] + centre + offset
            command.ability_id = MOVE_ABILITY
            command.target_world_space_pos.CopyFrom(common_pb2.Point2D(x=to[0], y=to[1]))
        commands.append(sc_pb.Action(action_raw=raw_pb2.ActionRaw(unit_command=command)))
    return sc_pb.Request(action=sc_pb.RequestAction(actions=commands))


def attack_move(tags: Sequence[int], point: tuple[float, float]) -> sc_pb.Request:
    """The order to move to a point and to attack on the way.

    Source: REFIL, ``starcraft2custom.py``, which gives it to the enemy's units.

    Args:
        tags: The game's own tags of the units.
        point: In the game's coordinates.
    """
    command = raw_pb2.ActionRawUnitCommand(
        ability_id=ATTACK_ABILITY,
        target_world_space_pos=common_pb2.Point2D(x=point[0], y=point[1]),
        unit_tags=tags,
        queue_command=False,
    )
    action = sc_pb.Action(action_raw=raw_pb2.ActionRaw(unit_command=command))
    return sc_pb.Request(action=sc_pb.RequestAction(actions=[action]))
