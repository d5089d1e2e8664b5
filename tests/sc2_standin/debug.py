"""Checks and executes debug commands."""

from __future__ import annotations

from s2clientprotocol import debug_pb2

from sc2_standin.world import ENEMY, LEARNER, MAP_SIZE, World

GIFT = 5000  # minerals or gas
KINDS = ("draw", "game_state", "create_unit", "kill_unit", "score", "unit_value", "end_game")


def error(command: debug_pb2.DebugCommand, world: World) -> str | None:
    """Why the command is refused, or None."""
    kind = command.WhichOneof("command")
    if kind not in KINDS:
        return f"debug command {kind} is not supported"
    if kind != "create_unit":
        return None
    create = command.create_unit
    if world.types.stats(create.unit_type) is None:
        return f"unknown unit type {create.unit_type}"
    if create.owner not in (LEARNER, ENEMY):
        return f"no player {create.owner}"
    if not (0 <= create.pos.x <= MAP_SIZE and 0 <= create.pos.y <= MAP_SIZE):
        return f"({create.pos.x}, {create.pos.y}) is not on the map"
    return None


def execute(command: debug_pb2.DebugCommand, world: World) -> None:
    """Executes a command. Drawings have no effect, because the stand-in has no screen."""
    if command.HasField("create_unit"):
        create = command.create_unit
        for _ in range(create.quantity):
            world.create(create.unit_type, create.owner, create.pos.x, create.pos.y)
    elif command.HasField("kill_unit"):
        world.kill(command.kill_unit.tag)
    elif command.HasField("unit_value"):
        _set_value(command.unit_value, world)
    elif command.HasField("game_state"):
        _cheat(command.game_state, world)
    elif command.HasField("score"):
        world.score = command.score.score


def _set_value(change: debug_pb2.DebugSetUnitValue, world: World) -> None:
    unit = world.units.get(change.unit_tag)
    if unit is not None:
        name = {1: "energy", 2: "health", 3: "shield"}[change.unit_value]
        setattr(unit, name, change.value)


def _cheat(state: debug_pb2.DebugGameState.ValueType, world: World) -> None:
    """Executes a cheat; the second time it ends again, as burnysc2 documents.

    The cheats that are not here have no effect: there is no fog, and nothing is built.
    """
    if state == debug_pb2.control_enemy:
        world.controlled ^= {ENEMY}
    elif state == debug_pb2.god:
        world.invulnerable ^= {LEARNER}
    if state in (debug_pb2.minerals, debug_pb2.all_resources):
        world.minerals += GIFT
    if state in (debug_pb2.gas, debug_pb2.all_resources):
        world.vespene += GIFT
