"""Checks and executes orders, with the game's result codes."""

from __future__ import annotations

from typing import TypeAlias

from s2clientprotocol import error_pb2, raw_pb2

from sc2_standin.world import ATTACK, HEAL, MOVE, STOP, Order, Unit, World, can_hit

Result: TypeAlias = error_pb2.ActionResult.ValueType


def give(world: World, command: raw_pb2.ActionRawUnitCommand) -> Result:
    """Gives an order to all units that it names, or to none if it is refused for one of them."""
    units = []
    for tag in command.unit_tags:
        unit = world.units.get(tag)
        if unit is None:
            return error_pb2.Error
        if unit.owner not in world.controlled:
            return error_pb2.YouCantControlThatUnit
        units.append(unit)
    results = [_check(world, unit, command) for unit in units]
    refused = [result for result in results if result != error_pb2.Success]
    if refused or not units:
        return refused[0] if refused else error_pb2.Error
    for unit in units:
        world.order(unit.tag, _order(command))
    return error_pb2.Success


def abilities(unit: Unit) -> list[int]:
    """The abilities that a unit may be ordered to use."""
    return [STOP, MOVE, HEAL if unit.stats.weapon is None else ATTACK]


def _order(command: raw_pb2.ActionRawUnitCommand) -> Order:
    target = command.target_unit_tag if command.HasField("target_unit_tag") else None
    point = None
    if _has_point(command):
        point = command.target_world_space_pos.x, command.target_world_space_pos.y
    return Order(command.ability_id, target, point)


def _check(world: World, unit: Unit, command: raw_pb2.ActionRawUnitCommand) -> Result:
    scans = unit.stats.weapon is None and command.ability_id == ATTACK
    if command.ability_id not in abilities(unit) and not (scans and _has_point(command)):
        return error_pb2.NotSupported
    if command.ability_id == STOP:
        return error_pb2.Success
    if not command.HasField("target_unit_tag"):
        needs_unit = command.ability_id == HEAL or not _has_point(command)
        return error_pb2.MustTargetUnit if needs_unit else error_pb2.Success
    target = world.units.get(command.target_unit_tag)
    if target is None:
        return error_pb2.MustTargetVisibleUnit
    if command.ability_id == ATTACK and not can_hit(unit, target):
        return error_pb2.CantTargetAirUnits
    if command.ability_id == HEAL and target.owner != unit.owner:
        return error_pb2.MustTargetFriendlyUnits
    if command.ability_id == HEAL and "Biological" not in target.stats.attributes:
        return error_pb2.MustTargetBiologicalUnits
    return error_pb2.Success


def _has_point(command: raw_pb2.ActionRawUnitCommand) -> bool:
    return command.HasField("target_world_space_pos")
