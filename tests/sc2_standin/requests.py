"""The state machine: which requests each state allows, and the answers to them.

The table of states is that of s2client-proto's ``sc2api.proto``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from s2clientprotocol import debug_pb2, error_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from sc2_standin import answers, debug, maps, orders
from sc2_standin.builds import BUILDS, NEWEST
from sc2_standin.faults import Faults
from sc2_standin.replay import Replay
from sc2_standin.world import ENEMY, LEARNER, World

LAST_LOOP = 2**19  # the game's "end of time"
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
    "query": SHOWN,
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
        self._base_build = base_build
        self._build = BUILDS.get(base_build, BUILDS[NEWEST])
        self._faults = faults
        self._replay = Replay(sc_pb.RequestCreateGame())
        self._join = sc_pb.RequestJoinGame()
        self._world = World(0, self._build.num_types)
        self._news = sc_pb.ResponseObservation()

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
        local = create.local_map
        map = maps.find(local.map_path, self._map_content(local) or b"")
        if map is None:
            raise Refused(f"the stand-in does not play the map {local.map_path!r}")
        self._replay = Replay(create)
        self._world = World(create.random_seed, self._build.num_types, map)
        self._news = sc_pb.ResponseObservation()

    def _map_content(self, local: sc_pb.LocalMap) -> bytes | None:
        """The content of the map's file, of which a client may send a copy; None if none is."""
        path = self._maps / local.map_path  # an absolute path stays as it is
        if local.map_data:
            return local.map_data
        return path.read_bytes() if local.map_path and path.is_file() else None

    def _map_error(self, create: sc_pb.RequestCreateGame) -> tuple[CreateError, str] | None:
        errors = sc_pb.ResponseCreateGame
        if create.WhichOneof("Map") != "local_map":
            return errors.MissingMap, "no local map is named"
        name = create.local_map.map_path
        content = self._map_content(create.local_map)
        if content is None:
            return errors.InvalidMapPath, f"there is no map {name!r}"
        if not content.startswith(maps.MAGIC):
            return errors.InvalidMapData, f"{name!r} is no map"
        return None

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
        self._join = join
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
        print("RequestQuit command received.", flush=True)
        if self._faults.strikes("ignore_quit") is None:
            self.status = QUIT
        return sc_pb.Response(quit=sc_pb.ResponseQuit())

    def _ping(self, request: sc_pb.Request) -> sc_pb.Response:
        number = 1 if self._faults.strikes("other_build") is not None else self._base_build
        version, data_version, _ = self._build
        return sc_pb.Response(
            ping=sc_pb.ResponsePing(
                game_version=version,
                data_version=data_version,
                data_build=number,
                base_build=number,
            )
        )

    def _available_maps(self, request: sc_pb.Request) -> sc_pb.Response:
        paths = sorted(str(p.relative_to(self._maps)) for p in self._maps.rglob("*.SC2Map"))
        return sc_pb.Response(available_maps=sc_pb.ResponseAvailableMaps(local_map_paths=paths))

    def _game_info(self, request: sc_pb.Request) -> sc_pb.Response:
        info = answers.game_info(self._world.map.name, self._replay.create, self._join)
        return sc_pb.Response(game_info=info)

    def _data(self, request: sc_pb.Request) -> sc_pb.Response:
        return sc_pb.Response(data=answers.data(request.data, self._world.types))

    def _query(self, request: sc_pb.Request) -> sc_pb.Response:
        return sc_pb.Response(query=answers.query(request.query, self._world))

    def _observation(self, request: sc_pb.Request) -> sc_pb.Response:
        news, self._news = self._news, sc_pb.ResponseObservation()
        news.observation.CopyFrom(answers.observation(self._world, self._join.options))
        if self.status == ENDED:
            news.player_result.extend(self._results)
        return sc_pb.Response(observation=news)

    def _step(self, request: sc_pb.Request) -> sc_pb.Response:
        if self._faults.strikes("lose_unit") is not None:
            ours = [tag for tag, unit in self._world.units.items() if unit.owner == LEARNER]
            self._world.kill(ours[:1])
        if self._faults.strikes("end_game") is not None:
            self._end(None)
        for _ in range(request.step.count or 1):
            if self.status == IN_REPLAY:
                self._repeat()
            self._world.advance()
        self._replay.loops = max(self._replay.loops, self._world.loop)
        is_last = self._world.loop >= LAST_LOOP
        if is_last or (self.status == IN_REPLAY and self._world.loop >= self._replay.loops):
            self._end(None)
        return sc_pb.Response(step=sc_pb.ResponseStep(simulation_loop=self._world.loop))

    def _end(self, winner: int | None) -> None:
        """Ends the game. It is a tie if nobody wins."""
        self.status = ENDED
        self._results = [
            sc_pb.PlayerResult(
                player_id=player,
                result=sc_pb.Tie
                if winner is None
                else (sc_pb.Victory if player == winner else sc_pb.Defeat),
            )
            for player in (LEARNER, ENEMY)
        ]

    def _repeat(self) -> None:
        """Repeats the requests of this loop in a replay."""
        for loop, request in self._replay.requests:
            if loop == self._world.loop:
                getattr(self, f"_{request.WhichOneof('request')}")(request)

    def _action(self, request: sc_pb.Request) -> sc_pb.Response:
        results = [self._act(action) for action in request.action.actions]
        return sc_pb.Response(action=sc_pb.ResponseAction(result=results))

    def _act(self, action: sc_pb.Action) -> orders.Result:
        """Executes an order or a chat message. The next observation reports it."""
        result: orders.Result = error_pb2.NotSupported
        if action.HasField("action_chat"):
            message = action.action_chat.message
            self._news.chat.add(player_id=LEARNER, message=message)
            result = error_pb2.Success
        elif action.action_raw.WhichOneof("action") == "unit_command":
            result = orders.give(self._world, action.action_raw.unit_command)
        if result == error_pb2.Success:
            done = self._news.actions.add(game_loop=self._world.loop)
            done.MergeFrom(action)
        return result

    def _debug(self, request: sc_pb.Request) -> sc_pb.Response:
        commands = request.debug.debug
        errors = [error for command in commands if (error := debug.error(command, self._world))]
        if errors:
            raise Refused("; ".join(errors))
        for command in commands:
            if command.HasField("end_game"):
                wins = command.end_game.end_result == debug_pb2.DebugEndGame.DeclareVictory
                self._end(LEARNER if wins else ENEMY)
            elif not self._fails_to_spawn(command):
                debug.execute(command, self._world)
        if self._faults.strikes("bare_debug") is not None:
            return sc_pb.Response()
        return sc_pb.Response(debug=sc_pb.ResponseDebug())

    def _fails_to_spawn(self, command: debug_pb2.DebugCommand) -> bool:
        creates = command.HasField("create_unit")
        return creates and self._faults.strikes("fail_spawn") is not None

    def _save_replay(self, request: sc_pb.Request) -> sc_pb.Response:
        data = self._replay.to_bytes()
        return sc_pb.Response(save_replay=sc_pb.ResponseSaveReplay(data=data))

    def _replay_info(self, request: sc_pb.Request) -> sc_pb.Response:
        info = sc_pb.ResponseReplayInfo()
        replay = _read_replay(request.replay_info)
        if replay is None:
            info.error = sc_pb.ResponseReplayInfo.InvalidReplayData
        else:
            info.local_map_path = replay.create.local_map.map_path
            info.map_name = Path(info.local_map_path).stem
            info.game_version, info.data_version, _ = self._build
            info.base_build = info.data_build = self._base_build
            info.game_duration_loops = replay.loops
        return sc_pb.Response(replay_info=info)

    def _start_replay(self, request: sc_pb.Request) -> sc_pb.Response:
        replay = _read_replay(request.start_replay)
        if replay is None:
            error = sc_pb.ResponseStartReplay.InvalidReplayData
            return sc_pb.Response(start_replay=sc_pb.ResponseStartReplay(error=error))
        self._new_world(replay.create)
        self._replay = replay
        self._join = sc_pb.RequestJoinGame(options=request.start_replay.options)
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


def _read_replay(request: sc_pb.RequestReplayInfo | sc_pb.RequestStartReplay) -> Replay | None:
    data = request.replay_data
    if request.replay_path:
        path = Path(request.replay_path)
        data = path.read_bytes() if path.is_file() else b""
    return Replay.from_bytes(data)
