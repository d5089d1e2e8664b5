"""Builds the protocol's messages about the world and the map, and answers questions about them."""

from __future__ import annotations

import math

from s2clientprotocol import common_pb2, data_pb2, error_pb2, query_pb2, raw_pb2, score_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from sc2_standin import orders
from sc2_standin.unit_stats import LOOPS_PER_NORMAL_SECOND, MOST_ENERGY, UnitStats, UnitTypes
from sc2_standin.world import ATTACK, ENEMY, HEAL, LEARNER, MAP_SIZE, MOVE, STOP, Unit, World

ABILITIES = {  # the name, and what it may be aimed at
    STOP: ("Stop", data_pb2.AbilityData.Target.Value("None")),
    MOVE: ("Move", data_pb2.AbilityData.PointOrUnit),
    ATTACK: ("Attack", data_pb2.AbilityData.PointOrUnit),
    HEAL: ("Heal", data_pb2.AbilityData.Unit),
}


def observation(world: World, options: sc_pb.InterfaceOptions) -> sc_pb.Observation:
    """What the interfaces that the client asked for show."""
    ours = sum(unit.owner == LEARNER for unit in world.units.values())
    answer = sc_pb.Observation(
        game_loop=world.loop,
        player_common=sc_pb.PlayerCommon(
            player_id=LEARNER,
            army_count=ours,
            minerals=world.minerals,
            vespene=world.vespene,
        ),
    )
    if options.raw:
        answer.raw_data.CopyFrom(_raw(world))
    if options.HasField("feature_layer") or options.HasField("render"):
        _draw(world, options, answer)
    if options.score:
        answer.score.score_type = score_pb2.Score.Curriculum
        answer.score.score = int(world.score)
        answer.score.score_details.SetInParent()
    return answer


def _draw(world: World, options: sc_pb.InterfaceOptions, into: sc_pb.Observation) -> None:
    # Imported only here: loading numpy would make every stand-in start later.
    from sc2_standin import layers

    if options.HasField("feature_layer"):
        into.feature_layer_data.CopyFrom(layers.feature_layers(world, options.feature_layer))
    if options.HasField("render"):
        into.render_data.CopyFrom(layers.pictures(world, options.render))


def _raw(world: World) -> raw_pb2.ObservationRaw:
    """All units (the map has no fog), and the units that died since the last observation."""
    raw = raw_pb2.ObservationRaw(
        player=raw_pb2.PlayerRaw(camera=common_pb2.Point(x=MAP_SIZE / 2, y=MAP_SIZE / 2)),
        units=[_unit(unit) for unit in world.units.values()],
        map_state=raw_pb2.MapState(visibility=_bytes(2), creep=_bits(False)),
    )
    dead, world.dead = world.dead, []
    if dead:
        raw.event.dead_units.extend(dead)
    return raw


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


def game_info(
    map_name: str, create: sc_pb.RequestCreateGame, join: sc_pb.RequestJoinGame
) -> sc_pb.ResponseGameInfo:
    """The players and the map, which is flat and pathable everywhere."""
    options = join.options
    corner = common_pb2.PointI(x=MAP_SIZE, y=MAP_SIZE)
    info = sc_pb.ResponseGameInfo(
        map_name=map_name, local_map_path=create.local_map.map_path, options=options
    )
    if options.raw:
        info.start_raw.CopyFrom(
            raw_pb2.StartRaw(
                map_size=common_pb2.Size2DI(x=MAP_SIZE, y=MAP_SIZE),
                pathing_grid=_bits(True),
                terrain_height=_bytes(127),
                placement_grid=_bits(True),
                playable_area=common_pb2.RectangleI(p0=common_pb2.PointI(x=0, y=0), p1=corner),
            )
        )
    computer = create.player_setup[1]
    info.player_info.add(
        player_id=LEARNER,
        type=sc_pb.Participant,
        race_requested=join.race,
        race_actual=join.race,
        player_name=join.player_name,
    )
    info.player_info.add(
        player_id=ENEMY,
        type=sc_pb.Computer,
        race_requested=computer.race,
        difficulty=computer.difficulty,
    )
    return info


def data(request: sc_pb.RequestData, types: UnitTypes) -> sc_pb.ResponseData:
    """The tables that the request names. The map's own unit types are the last."""
    answer = sc_pb.ResponseData()
    if request.ability_id:
        for ability, (name, target) in ABILITIES.items():
            answer.abilities.add(
                ability_id=ability,
                link_name=name.lower(),
                friendly_name=name,
                button_name=name,
                available=True,
                target=target,
            )
    if request.unit_type_id:
        for unit_id in types.ids:
            stats = types.stats(unit_id)
            if stats is None:
                answer.units.add(unit_id=unit_id)
            else:
                answer.units.append(_unit_type(unit_id, types.name(unit_id), stats))
    return answer


def _unit_type(unit_id: int, name: str, stats: UnitStats) -> data_pb2.UnitTypeData:
    message = data_pb2.UnitTypeData(
        unit_id=unit_id,
        name=name,
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


def query(questions: query_pb2.RequestQuery, world: World) -> query_pb2.ResponseQuery:
    """About paths, abilities of units, and places for buildings: one answer per question."""
    return query_pb2.ResponseQuery(
        pathing=[
            query_pb2.ResponseQueryPathing(distance=_path(question, world))
            for question in questions.pathing
        ],
        abilities=[_abilities(question.unit_tag, world) for question in questions.abilities],
        placements=[_placement(question, world) for question in questions.placements],
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


def _bits(value: bool) -> common_pb2.ImageData:
    size = common_pb2.Size2DI(x=MAP_SIZE, y=MAP_SIZE)
    byte = 0xFF if value else 0
    return common_pb2.ImageData(
        bits_per_pixel=1, size=size, data=bytes([byte]) * (MAP_SIZE * MAP_SIZE // 8)
    )


def _bytes(value: int) -> common_pb2.ImageData:
    size = common_pb2.Size2DI(x=MAP_SIZE, y=MAP_SIZE)
    return common_pb2.ImageData(bits_per_pixel=8, size=size, data=bytes([value]) * MAP_SIZE**2)
