"""The state machine: which requests each state allows, and the answers to them.

The table of states is that of s2client-proto's ``sc2api.proto``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from s2clientprotocol import debug_pb2, error_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from sc2_standin import answers, orders
from sc2_standin.faults import Faults
from sc2_standin.replay import Replay
from sc2_standin.unit_stats import BY_ID
from sc2_standin.world import ENEMY, LEARNER, MAP_SIZE, World

LAST_LOOP = 2**19  # the game's "end of time"
GAME_VERSION = "4.10.0"
LAUNCHED, INIT, IN_GAME = sc_pb.launched, sc_pb.init_game, sc_pb.in_game
IN_REPLAY, ENDED, QUIT = sc_pb.in_replay, sc_pb.ended, sc_pb.quit
SHOWN: set[int] = {IN_GAME, IN_REPLAY, ENDED}
ANY: set[int] = {LAUNCHED, INIT, IN_GAME, IN_REPLAY, ENDED}

ALLOWED: dict[str, set[int]] = {
    "create_game": {LAUNCHED, ENDED},
    "join_game": {INIT},
    "restart_game": {ENDED},
    "start_replay": {LAUNCHED, ENDED},
    "leave_game": {IN_GAME},
    "quit": ANY,
    "game_info": SHOWN,
    "observation": SHOWN,
    "step": {IN_GAME, IN_REPLAY},
    "action": {IN_GAME},
    "data": SHOWN,
    "save_replay": {IN_GAME, ENDED},
    "replay_info": ANY,
    "available_maps": ANY,
    "ping": ANY,
    "debug": {IN_GAME},
}


CreateError: TypeAlias = sc_pb.ResponseCreateGame.Error.ValueType


class Refused(Exception):  # noqa: N818
    """A request that the protocol does not allow. The answer has only this error."""


class Requests:
    """A running stand-in, without its websocket.

    Args:
        folder: The installation.
        base_build: The number of the build, from the executable's folder.
        faults: The faults on demand.
    """

    def __init__(self, folder: Path, base_build: int, faults: Faults) -> None:
        self.status: sc_pb.Status.ValueType = LAUNCHED
        self._maps = folder / "Maps"
        self._build = base_build
        self._faults = faults
        self._replay = Replay(sc_pb.RequestCreateGame())
        self._options = sc_pb.InterfaceOptions()
        self._world = World(0)

    def answer(self, message: bytes) -> sc_pb.Response:
        """The answer to any message, valid or not."""
        request = sc_pb.Request()
        try:
            request.ParseFromString(message)
            response = self._answer(request)
        except Refused as error:
            response = sc_pb.Response(error=[str(error)])
        except Exception as error:  # the game also answers invalid messages
            response = sc_pb.Response(error=[f"{type(error).__name__}: {error}"])
        if request.HasField("id"):
            response.id = request.id
        response.status = self.status
        return response

    def _answer(self, request: sc_pb.Request) -> sc_pb.Response:
        kind = request.WhichOneof("request")
        if kind is None:
            raise Refused("the request is empty")
        if kind not in ALLOWED:
            raise Refused(f"{kind} is not supported")
        if self.status not in ALLOWED[kind]:
            raise Refused(f"{kind} is not possible while {sc_pb.Status.Name(self.status)}")
        if kind in ("action", "debug") and self.status == IN_GAME:
            self._replay.requests.append((self._world.loop, request))
        answer: Callable[[sc_pb.Request], sc_pb.Response] = getattr(self, f"_{kind}")
        return answer(request)

    def _create_game(self, request: sc_pb.Request) -> sc_pb.Response:
        create = request.create_game
        error = self._map_error(create) or _players_error(create)
        if error is not None:
            name, details = error
            refused = sc_pb.ResponseCreateGame(error=name, error_details=details)
            return sc_pb.Response(create_game=refused)
        if create.realtime:
            raise Refused("games in real time are not supported")
        self._new_world(create)
        self.status = INIT
        return sc_pb.Response(create_game=sc_pb.ResponseCreateGame())

    def _new_world(self, create: sc_pb.RequestCreateGame) -> None:
        self._replay = Replay(create)
        self._world = World(create.random_seed)

    def _map_error(self, create: sc_pb.RequestCreateGame) -> tuple[CreateError, str] | None:
        errors = sc_pb.ResponseCreateGame
        if create.WhichOneof("Map") != "local_map":
            return errors.MissingMap, "no local map is named"
        local = create.local_map
        path = self._maps / local.map_path  # an absolute path stays as it is
        if local.map_data:
            is_map = local.map_data.startswith(b"MPQ")
        elif not local.map_path or not path.is_file():
            return errors.InvalidMapPath, f"there is no map {local.map_path!r}"
        else:
            is_map = path.read_bytes().startswith(b"MPQ")
        return None if is_map else (errors.InvalidMapData, f"{local.map_path!r} is no map")

    def _join_game(self, request: sc_pb.Request) -> sc_pb.Response:
        join, errors = request.join_game, sc_pb.ResponseJoinGame
        error = None
        if join.WhichOneof("participation") is None:
            error = errors.MissingParticipation
        elif not join.HasField("race"):
            error = errors.InvalidObservedPlayerId
        elif not join.HasField("options"):
            error = errors.MissingOptions
        if error is not None:
            return sc_pb.Response(join_game=sc_pb.ResponseJoinGame(error=error))
        self._options = join.options
        self.status = IN_GAME
        return sc_pb.Response(join_game=sc_pb.ResponseJoinGame(player_id=LEARNER))

    def _restart_game(self, request: sc_pb.Request) -> sc_pb.Response:
        self._new_world(self._replay.create)
        self.status = IN_GAME
        return sc_pb.Response(restart_game=sc_pb.ResponseRestartGame())

    def _leave_game(self, request: sc_pb.Request) -> sc_pb.Response:
        self.status = LAUNCHED
        return sc_pb.Response(leave_game=sc_pb.ResponseLeaveGame())

    def _quit(self, request: sc_pb.Request) -> sc_pb.Response:
        self.status = QUIT
        return sc_pb.Response(quit=sc_pb.ResponseQuit())

    def _ping(self, request: sc_pb.Request) -> sc_pb.Response:
        build = 1 if self._faults.strikes("other_build") is not None else self._build
        return sc_pb.Response(
            ping=sc_pb.ResponsePing(
                game_version=GAME_VERSION, data_build=build, base_build=build, data_version="0"
            )
        )

    def _available_maps(self, request: sc_pb.Request) -> sc_pb.Response:
        paths = sorted(str(p.relative_to(self._maps)) for p in self._maps.rglob("*.SC2Map"))
        return sc_pb.Response(available_maps=sc_pb.ResponseAvailableMaps(local_map_paths=paths))

    def _game_info(self, request: sc_pb.Request) -> sc_pb.Response:
        create = self._replay.create
        level = max(player.difficulty for player in create.player_setup)
        return answers.game_info(create.local_map.map_path, level, self._options)

    def _data(self, request: sc_pb.Request) -> sc_pb.Response:
        return sc_pb.Response(data=answers.data(request.data))

    def _observation(self, request: sc_pb.Request) -> sc_pb.Response:
        shown = answers.observation(self._world, self.status == ENDED)
        if not self._options.raw:
            shown.observation.ClearField("raw_data")
        return sc_pb.Response(observation=shown)

    def _step(self, request: sc_pb.Request) -> sc_pb.Response:
        if self._faults.strikes("lose_unit") is not None:
            ours = [tag for tag, unit in self._world.units.items() if unit.owner == LEARNER]
            self._world.kill(ours[:1])
        if self._faults.strikes("end_game") is not None:
            self.status = ENDED
        for _ in range(request.step.count or 1):
            if self.status == IN_REPLAY:
                self._repeat()
            self._world.advance()
        self._replay.loops = max(self._replay.loops, self._world.loop)
        is_last = self._world.loop >= LAST_LOOP
        if is_last or (self.status == IN_REPLAY and self._world.loop >= self._replay.loops):
            self.status = ENDED
        return sc_pb.Response(step=sc_pb.ResponseStep(simulation_loop=self._world.loop))

    def _repeat(self) -> None:
        """Repeats the requests of this loop in a replay."""
        for loop, request in self._replay.requests:
            if loop == self._world.loop:
                getattr(self, f"_{request.WhichOneof('request')}")(request)

    def _action(self, request: sc_pb.Request) -> sc_pb.Response:
        results = []
        for action in request.action.actions:
            is_order = action.action_raw.WhichOneof("action") == "unit_command"
            result = error_pb2.NotSupported
            if is_order:
                result = orders.give(self._world, action.action_raw.unit_command)
            results.append(result)
        return sc_pb.Response(action=sc_pb.ResponseAction(result=results))

    def _debug(self, request: sc_pb.Request) -> sc_pb.Response:
        errors = [error for command in request.debug.debug if (error := _debug_error(command))]
        if errors:
            raise Refused("; ".join(errors))
        for command in request.debug.debug:
            if command.HasField("create_unit"):
                self._create_unit(command.create_unit)
            elif command.HasField("kill_unit"):
                self._world.kill(command.kill_unit.tag)
            elif command.HasField("unit_value"):
                self._set_value(command.unit_value)
            elif command.HasField("end_game"):
                self.status = ENDED
        return sc_pb.Response(debug=sc_pb.ResponseDebug())

    def _create_unit(self, create: debug_pb2.DebugCreateUnit) -> None:
        if self._faults.strikes("fail_spawn") is not None:
            return
        for _ in range(create.quantity):
            self._world.create(create.unit_type, create.owner, create.pos.x, create.pos.y)

    def _set_value(self, change: debug_pb2.DebugSetUnitValue) -> None:
        unit = self._world.units.get(change.unit_tag)
        if unit is not None:
            name = {1: "energy", 2: "health", 3: "shield"}[change.unit_value]
            setattr(unit, name, change.value)

    def _save_replay(self, request: sc_pb.Request) -> sc_pb.Response:
        data = self._replay.to_bytes()
        return sc_pb.Response(save_replay=sc_pb.ResponseSaveReplay(data=data))

    def _replay_info(self, request: sc_pb.Request) -> sc_pb.Response:
        info = sc_pb.ResponseReplayInfo()
        replay = _read_replay(request.replay_info)
        if replay is None:
            info.error = sc_pb.ResponseReplayInfo.InvalidReplayData
        else:
            info.map_name, info.base_build = answers.MAP_NAME, self._build
            info.local_map_path = replay.create.local_map.map_path
            info.game_version, info.game_duration_loops = GAME_VERSION, replay.loops
        return sc_pb.Response(replay_info=info)

    def _start_replay(self, request: sc_pb.Request) -> sc_pb.Response:
        replay = _read_replay(request.start_replay)
        if replay is None:
            error = sc_pb.ResponseStartReplay.InvalidReplayData
            return sc_pb.Response(start_replay=sc_pb.ResponseStartReplay(error=error))
        self._new_world(replay.create)
        self._replay = replay
        self._options = request.start_replay.options
        self.status = IN_REPLAY
        return sc_pb.Response(start_replay=sc_pb.ResponseStartReplay())


def _players_error(create: sc_pb.RequestCreateGame) -> tuple[CreateError, str] | None:
    """An error unless the players are one participant and one complete computer player."""
    errors = sc_pb.ResponseCreateGame
    if not create.player_setup:
        return errors.MissingPlayerSetup, "no players"
    kinds = [player.type for player in create.player_setup]
    if kinds != [sc_pb.Participant, sc_pb.Computer]:
        return errors.InvalidPlayerSetup, "expected a participant, then a computer"
    computer = create.player_setup[1]
    if not (computer.HasField("race") and computer.HasField("difficulty")):
        return errors.InvalidPlayerSetup, "the computer needs a race and a difficulty"
    return None


def _debug_error(command: debug_pb2.DebugCommand) -> str | None:
    kind = command.WhichOneof("command")
    if kind not in ("create_unit", "kill_unit", "unit_value", "end_game"):
        return f"debug command {kind} is not supported"
    if kind != "create_unit":
        return None
    create = command.create_unit
    if create.unit_type not in BY_ID:
        return f"unknown unit type {create.unit_type}"
    if create.owner not in (LEARNER, ENEMY):
        return f"no player {create.owner}"
    if not (0 <= create.pos.x <= MAP_SIZE and 0 <= create.pos.y <= MAP_SIZE):
        return f"({create.pos.x}, {create.pos.y}) is not on the map"
    return None


def _read_replay(request: sc_pb.RequestReplayInfo | sc_pb.RequestStartReplay) -> Replay | None:
    data = request.replay_data
    if request.replay_path:
        path = Path(request.replay_path)
        data = path.read_bytes() if path.is_file() else b""
    return Replay.from_bytes(data)
