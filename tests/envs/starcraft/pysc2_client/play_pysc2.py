"""Plays a battle with pysc2's own client classes, and writes what happened as JSON.

Runs with the foreign Python: ``play_pysc2.py RESULT GAME_VERSION``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from absl import flags
from pysc2 import run_configs
from pysc2.lib import units
from s2clientprotocol import common_pb2, debug_pb2, query_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

MAP = "SMAC_Maps/32x32_flat.SC2Map"
NUM_OWN_TYPES, MARINE = 9, 4
ATTACK = 23
ENEMY = units.Terran.Marine.value


def create_game(config: Any, controller: Any) -> None:
    """As SMAC does: sends the map's content too, against the computer."""
    create = sc_pb.RequestCreateGame(
        local_map=sc_pb.LocalMap(map_path=MAP, map_data=config.map_data(MAP)), random_seed=3
    )
    create.player_setup.add(type=sc_pb.Participant)
    create.player_setup.add(type=sc_pb.Computer, race=common_pb2.Terran, difficulty=sc_pb.VeryHard)
    controller.create_game(create)
    options = sc_pb.InterfaceOptions(raw=True, score=True)
    controller.join_game(sc_pb.RequestJoinGame(race=common_pb2.Terran, options=options))


def spawn(controller: Any, unit_type: int, owner: int, x: float) -> None:
    at = common_pb2.Point2D(x=x, y=16)
    unit = debug_pb2.DebugCreateUnit(unit_type=unit_type, owner=owner, pos=at, quantity=3)
    controller.debug(debug_pb2.DebugCommand(create_unit=unit))


def units_of(controller: Any, owner: int) -> list[raw_pb2.Unit]:
    shown = controller.observe().observation.raw_data.units
    return [unit for unit in shown if unit.owner == owner]


def attack(controller: Any, attackers: list[raw_pb2.Unit], target: raw_pb2.Unit) -> None:
    command = raw_pb2.ActionRawUnitCommand(
        ability_id=ATTACK, unit_tags=[unit.tag for unit in attackers], target_unit_tag=target.tag
    )
    controller.act(sc_pb.Action(action_raw=raw_pb2.ActionRaw(unit_command=command)))


def battle(controller: Any, marine: int) -> int:
    """Attacks one enemy after the other, until one side is dead."""
    spawn(controller, marine, 1, 10)
    spawn(controller, ENEMY, 2, 20)
    controller.step(1)
    steps = 0
    while units_of(controller, 1) and units_of(controller, 2):
        enemies = units_of(controller, 2)
        attack(controller, units_of(controller, 1), min(enemies, key=lambda unit: unit.tag))
        controller.step(8)
        steps += 1
    return steps


def ask(controller: Any, unit: raw_pb2.Unit) -> dict[str, Any]:
    """The questions and remarks that other clients have."""
    line = debug_pb2.DebugLine(line=debug_pb2.Line(p0=unit.pos, p1=unit.pos))
    controller.debug(debug_pb2.DebugCommand(draw=debug_pb2.DebugDraw(lines=[line])))
    controller.debug(debug_pb2.DebugCommand(game_state=debug_pb2.show_map))
    controller.chat("good luck")
    end = common_pb2.Point2D(x=unit.pos.x + 3, y=unit.pos.y + 4)
    answer = controller.query(
        query_pb2.RequestQuery(
            pathing=[query_pb2.RequestQueryPathing(unit_tag=unit.tag, end_pos=end)],
            abilities=[query_pb2.RequestQueryAvailableAbilities(unit_tag=unit.tag)],
        )
    )
    controller.step(1)
    return {
        "distance": answer.pathing[0].distance,
        "abilities": [ability.ability_id for ability in answer.abilities[0].abilities],
        "chat": [line.message for line in controller.observe().chat],
    }


def end(controller: Any) -> dict[str, Any]:
    """Ends the game, plays it once more, and leaves it."""
    controller.debug(debug_pb2.DebugCommand(end_game=debug_pb2.DebugEndGame()))
    results = [result.result for result in controller.observe().player_result]
    controller.restart()
    controller.step(1)
    loop = controller.observe().observation.game_loop
    replay = controller.save_replay()
    controller.leave()
    return {
        "results": results,
        "loop": loop,
        "replay_loops": controller.replay_info(replay).game_duration_loops,
        "status": controller.status.name,
    }


def main(result: str, version: str) -> None:
    flags.FLAGS(["play_pysc2"])
    config = run_configs.get(version=version)
    with config.start() as controller:
        create_game(config, controller)
        types = list(controller.data().units)
        marine = types[len(types) - NUM_OWN_TYPES + MARINE]
        said = {
            "build": controller.ping().base_build,
            "maps": list(controller.available_maps().local_map_paths),
            "width": controller.game_info().start_raw.map_size.x,
            "marine": marine,
            "steps": battle(controller, marine),
            "survivors": [unit.owner for unit in controller.observe().observation.raw_data.units],
        }
        spawn(controller, marine, 1, 10)
        controller.step(1)
        said.update(ask(controller, units_of(controller, 1)[0]))
        said.update(end(controller))
    with open(result, "w") as file:
        json.dump(said, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
