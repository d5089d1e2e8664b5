"""Sends requests to a stand-in in this process, without a websocket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from s2clientprotocol import common_pb2, debug_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb
from sc2_standin.builds import BUILDS
from sc2_standin.faults import Faults
from sc2_standin.installation import BASE_BUILD, install
from sc2_standin.requests import Requests

NUM_STANDARD_TYPES = BUILDS[BASE_BUILD].num_types
MARINE, LEARNERS_MARINE = 48, NUM_STANDARD_TYPES + 4
MAP_PATH = "SMAC_Maps/32x32_flat.SC2Map"
PLAYERS = [
    sc_pb.PlayerSetup(type=sc_pb.Participant),
    sc_pb.PlayerSetup(type=sc_pb.Computer, race=common_pb2.Terran, difficulty=sc_pb.VeryHard),
]


class Player:
    """Sends requests to a stand-in without a websocket."""

    def __init__(self, folder: Path, base_build: int = BASE_BUILD) -> None:
        self.folder = install(folder, base_build)
        self._requests = Requests(self.folder, base_build, Faults(self.folder))

    def ask(self, **kind: Any) -> sc_pb.Response:
        return self._requests.answer(sc_pb.Request(**kind).SerializeToString())

    def send(self, message: bytes) -> sc_pb.Response:
        return self._requests.answer(message)

    def create(self, **changes: Any) -> sc_pb.Response:
        local_map = sc_pb.LocalMap(map_path=MAP_PATH)
        fields = {"local_map": local_map, "player_setup": PLAYERS, "random_seed": 1, **changes}
        return self.ask(create_game=sc_pb.RequestCreateGame(**fields))

    def join(self, **changes: Any) -> sc_pb.Response:
        raw = sc_pb.InterfaceOptions(raw=True)
        fields = {"race": common_pb2.Terran, "options": raw, **changes}
        return self.ask(join_game=sc_pb.RequestJoinGame(**fields))

    def spawn(self, unit_type: int, owner: int, x: float, y: float) -> sc_pb.Response:
        create = debug_pb2.DebugCreateUnit(
            unit_type=unit_type, owner=owner, pos=common_pb2.Point2D(x=x, y=y), quantity=1
        )
        command = debug_pb2.DebugCommand(create_unit=create)
        return self.ask(debug=sc_pb.RequestDebug(debug=[command]))

    def step(self, count: int = 1) -> sc_pb.Response:
        return self.ask(step=sc_pb.RequestStep(count=count))

    def units(self) -> list[raw_pb2.Unit]:
        answer = self.ask(observation=sc_pb.RequestObservation())
        return list(answer.observation.observation.raw_data.units)

    def order(self, unit: int, ability: int, **target: Any) -> int:
        command = raw_pb2.ActionRawUnitCommand(ability_id=ability, unit_tags=[unit], **target)
        action = sc_pb.Action(action_raw=raw_pb2.ActionRaw(unit_command=command))
        (result,) = self.ask(action=sc_pb.RequestAction(actions=[action])).action.result
        return result
