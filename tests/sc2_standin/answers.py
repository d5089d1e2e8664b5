"""Builds the protocol's messages about the world and the map."""

from __future__ import annotations

from s2clientprotocol import common_pb2, data_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from sc2_standin.unit_stats import (
    BY_ID,
    LOOPS_PER_NORMAL_SECOND,
    MOST_ENERGY,
    NUM_STANDARD_TYPES,
    STATS,
    UnitStats,
)
from sc2_standin.world import LEARNER, MAP_SIZE, Unit, World

MAP_NAME = "32x32_flat"


def observation(world: World, is_over: bool) -> sc_pb.ResponseObservation:
    """All units (the map has no fog), and the units that died since the last observation."""
    units = [_unit(unit) for unit in world.units.values()]
    dead, world.dead = world.dead, []
    raw = raw_pb2.ObservationRaw(
        player=raw_pb2.PlayerRaw(camera=common_pb2.Point(x=MAP_SIZE / 2, y=MAP_SIZE / 2)),
        units=units,
        map_state=raw_pb2.MapState(visibility=_bytes(2), creep=_bits(False)),
    )
    if dead:
        raw.event.dead_units.extend(dead)
    ours = sum(unit.owner == LEARNER for unit in units)
    answer = sc_pb.ResponseObservation(
        observation=sc_pb.Observation(
            game_loop=world.loop,
            player_common=sc_pb.PlayerCommon(player_id=LEARNER, army_count=ours),
            raw_data=raw,
        )
    )
    if is_over:
        answer.player_result.add(player_id=1, result=sc_pb.Tie)
        answer.player_result.add(player_id=2, result=sc_pb.Tie)
    return answer


def _unit(unit: Unit) -> raw_pb2.Unit:
    is_ours = unit.owner == LEARNER
    message = raw_pb2.Unit(
        display_type=raw_pb2.Visible,
        alliance=raw_pb2.Self if is_ours else raw_pb2.Enemy,
        tag=unit.tag,
        unit_type=unit.unit_type,
        owner=unit.owner,
        pos=common_pb2.Point(x=unit.x, y=unit.y, z=10.0),
        radius=unit.stats.radius,
        build_progress=1.0,
        cloak=raw_pb2.NotCloaked,
        health=unit.health,
        health_max=unit.stats.health,
        shield=unit.shield,
        shield_max=unit.stats.shield,
        energy=unit.energy,
        energy_max=MOST_ENERGY if unit.stats.weapon is None else 0.0,
        is_flying=unit.stats.flies,
    )
    if is_ours:  # the game reports these for the player's own units only
        message.weapon_cooldown = unit.cooldown
        if unit.order is not None:
            order = message.orders.add(ability_id=unit.order.ability)
            if unit.order.target is not None:
                order.target_unit_tag = unit.order.target
            elif unit.order.point is not None:
                x, y = unit.order.point
                order.target_world_space_pos.CopyFrom(common_pb2.Point(x=x, y=y))
    return message


def game_info(map_path: str, difficulty: int, options: sc_pb.InterfaceOptions) -> sc_pb.Response:
    """The map: flat and pathable everywhere."""
    corner = common_pb2.PointI(x=MAP_SIZE, y=MAP_SIZE)
    info = sc_pb.ResponseGameInfo(
        map_name=MAP_NAME,
        local_map_path=map_path,
        start_raw=raw_pb2.StartRaw(
            map_size=common_pb2.Size2DI(x=MAP_SIZE, y=MAP_SIZE),
            pathing_grid=_bits(True),
            terrain_height=_bytes(127),
            placement_grid=_bits(True),
            playable_area=common_pb2.RectangleI(p0=common_pb2.PointI(x=0, y=0), p1=corner),
        ),
        options=options,
    )
    info.player_info.add(player_id=1, type=sc_pb.Participant)
    info.player_info.add(
        player_id=2, type=sc_pb.Computer, difficulty=sc_pb.Difficulty.ValueType(difficulty)
    )
    return sc_pb.Response(game_info=info)


def data(request: sc_pb.RequestData) -> sc_pb.ResponseData:
    """The unit types in the order of their ids. The map's own nine types are the last."""
    answer = sc_pb.ResponseData()
    if request.unit_type_id:
        for unit_id in range(NUM_STANDARD_TYPES + len(STATS)):
            stats = BY_ID.get(unit_id)
            if stats is None:
                answer.units.add(unit_id=unit_id)
            else:
                suffix = "_RL" if unit_id >= NUM_STANDARD_TYPES else ""
                answer.units.append(_unit_type(unit_id, stats, suffix))
    return answer


def _unit_type(unit_id: int, stats: UnitStats, suffix: str) -> data_pb2.UnitTypeData:
    message = data_pb2.UnitTypeData(
        unit_id=unit_id,
        name=stats.name + suffix,
        available=True,
        sight_range=stats.sight,
        attributes=[data_pb2.Attribute.Value(name) for name in sorted(stats.attributes)],
        movement_speed=stats.speed * LOOPS_PER_NORMAL_SECOND,
        armor=stats.armour,
    )
    weapon = stats.weapon
    if weapon is not None:
        entry = message.weapons.add(
            type=data_pb2.Weapon.Any if weapon.hits_air else data_pb2.Weapon.Ground,
            damage=weapon.damage,
            attacks=weapon.hits,
            range=weapon.range,
            speed=weapon.period / LOOPS_PER_NORMAL_SECOND,
        )
        if weapon.bonus is not None:
            name, bonus = weapon.bonus
            entry.damage_bonus.add(attribute=data_pb2.Attribute.Value(name), bonus=bonus)
    return message


def _bits(value: bool) -> common_pb2.ImageData:
    size = common_pb2.Size2DI(x=MAP_SIZE, y=MAP_SIZE)
    byte = 0xFF if value else 0
    return common_pb2.ImageData(
        bits_per_pixel=1, size=size, data=bytes([byte]) * (MAP_SIZE * MAP_SIZE // 8)
    )


def _bytes(value: int) -> common_pb2.ImageData:
    size = common_pb2.Size2DI(x=MAP_SIZE, y=MAP_SIZE)
    return common_pb2.ImageData(bits_per_pixel=8, size=size, data=bytes([value]) * MAP_SIZE**2)
