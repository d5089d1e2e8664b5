"""Answers queries: about paths, abilities of units, and places for buildings."""

from __future__ import annotations

import math

from s2clientprotocol import common_pb2, error_pb2, query_pb2

from sc2_standin import orders
from sc2_standin.world import MAP_SIZE, World


def answer(query: query_pb2.RequestQuery, world: World) -> query_pb2.ResponseQuery:
    """One answer per question, in the same order."""
    return query_pb2.ResponseQuery(
        pathing=[
            query_pb2.ResponseQueryPathing(distance=_path(question, world))
            for question in query.pathing
        ],
        abilities=[_abilities(question.unit_tag, world) for question in query.abilities],
        placements=[_placement(question, world) for question in query.placements],
    )


def _path(question: query_pb2.RequestQueryPathing, world: World) -> float:
    """The distance, as everything on the map is pathable; 0 if no path exists."""
    start: common_pb2.Point2D | None = question.start_pos
    if question.HasField("unit_tag"):
        unit = world.units.get(question.unit_tag)
        start = None if unit is None else common_pb2.Point2D(x=unit.x, y=unit.y)
    end = question.end_pos
    if start is None or not _on_map(start) or not _on_map(end):
        return 0.0
    return math.hypot(end.x - start.x, end.y - start.y)


def _abilities(tag: int, world: World) -> query_pb2.ResponseQueryAvailableAbilities:
    unit = world.units.get(tag)
    if unit is None:
        return query_pb2.ResponseQueryAvailableAbilities(unit_tag=tag)
    return query_pb2.ResponseQueryAvailableAbilities(
        unit_tag=tag,
        unit_type_id=unit.unit_type,
        abilities=[
            common_pb2.AvailableAbility(ability_id=ability, requires_point=False)
            for ability in orders.abilities(unit)
        ],
    )


def _placement(
    question: query_pb2.RequestQueryBuildingPlacement, world: World
) -> query_pb2.ResponseQueryBuildingPlacement:
    at = question.target_pos
    others = [unit for tag, unit in world.units.items() if tag != question.placing_unit_tag]
    is_free = _on_map(at) and not any(
        math.hypot(unit.x - at.x, unit.y - at.y) < unit.stats.radius for unit in others
    )
    result = error_pb2.Success if is_free else error_pb2.CantBuildLocationInvalid
    return query_pb2.ResponseQueryBuildingPlacement(result=result)


def _on_map(point: common_pb2.Point2D) -> bool:
    return 0 <= point.x <= MAP_SIZE and 0 <= point.y <= MAP_SIZE
