"""The stand-in is as strict as the protocol: it answers forbidden requests with errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from s2clientprotocol import common_pb2, data_pb2, debug_pb2, error_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb
from sc2_standin.installation import BASE_BUILD, MAP

from rllib_ptm.envs.starcraft.sc2.errors import GameError
from rllib_ptm.envs.starcraft.sc2.game_process import GameProcess
from rllib_ptm.envs.starcraft.sc2.installation import find_installation
from sc2_backend.player import (
    LEARNERS_MARINE,
    MAP_PATH,
    MARINE,
    NUM_STANDARD_TYPES,
    PLAYERS,
    Player,
)

GAME_REQUESTS: dict[str, Any] = {
    "step": sc_pb.RequestStep(count=1),
    "observation": sc_pb.RequestObservation(),
    "action": sc_pb.RequestAction(),
    "debug": sc_pb.RequestDebug(),
    "game_info": sc_pb.RequestGameInfo(),
    "data": sc_pb.RequestData(unit_type_id=True),
    "save_replay": sc_pb.RequestSaveReplay(),
    "leave_game": sc_pb.RequestLeaveGame(),
}


@pytest.mark.parametrize("kind", GAME_REQUESTS)
@pytest.mark.parametrize("created", [False, True])
def test_what_needs_a_game_is_refused_before_join_game(
    player: Player, kind: str, created: bool
) -> None:
    if created:
        assert player.create().status == sc_pb.init_game
    answer = player.ask(**{kind: GAME_REQUESTS[kind]})
    assert answer.WhichOneof("response") is None
    (error,) = answer.error
    assert kind in error
    assert answer.status == (sc_pb.init_game if created else sc_pb.launched)


def test_the_states_of_a_game(player: Player) -> None:
    assert player.ask(ping=sc_pb.RequestPing()).status == sc_pb.launched
    assert player.join().error  # there is no game yet
    assert player.create().status == sc_pb.init_game
    assert player.create().error  # there is a game already
    assert player.join().status == sc_pb.in_game
    assert player.ask(restart_game=sc_pb.RequestRestartGame()).error  # the game is not over
    end = debug_pb2.DebugCommand(end_game=debug_pb2.DebugEndGame())
    assert player.ask(debug=sc_pb.RequestDebug(debug=[end])).status == sc_pb.ended
    assert player.step().error
    over = player.ask(observation=sc_pb.RequestObservation())
    assert len(over.observation.player_result) == 2
    assert player.ask(restart_game=sc_pb.RequestRestartGame()).status == sc_pb.in_game
    assert player.ask(leave_game=sc_pb.RequestLeaveGame()).status == sc_pb.launched
    assert player.ask(quit=sc_pb.RequestQuit()).status == sc_pb.quit


CreateError = sc_pb.ResponseCreateGame


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"local_map": sc_pb.LocalMap(map_path="nowhere.SC2Map")}, CreateError.InvalidMapPath),
        ({"local_map": sc_pb.LocalMap(map_path="3m.SC2Map")}, CreateError.InvalidMapPath),
        ({"local_map": None}, CreateError.MissingMap),
        ({"local_map": sc_pb.LocalMap(map_data=b"no map")}, CreateError.InvalidMapData),
        ({"player_setup": []}, CreateError.MissingPlayerSetup),
        ({"player_setup": PLAYERS[:1]}, CreateError.InvalidPlayerSetup),
        (
            {"player_setup": [PLAYERS[0], sc_pb.PlayerSetup(type=sc_pb.Computer)]},
            CreateError.InvalidPlayerSetup,
        ),
    ],
)
def test_games_that_cannot_be_created(player: Player, changes: dict[str, Any], error: int) -> None:
    answer = player.create(**changes)
    assert answer.create_game.error == error
    assert answer.create_game.error_details
    assert answer.status == sc_pb.launched


@pytest.mark.parametrize(
    "local_map",
    [
        sc_pb.LocalMap(map_path=MAP_PATH),
        sc_pb.LocalMap(map_path=MAP_PATH, map_data=b"MPQ\x1b..."),  # as SMAC does
    ],
)
def test_maps_by_path_and_by_content(player: Player, local_map: sc_pb.LocalMap) -> None:
    assert not player.create(local_map=local_map).create_game.HasField("error")


def test_a_map_by_its_absolute_path(player: Player) -> None:
    local_map = sc_pb.LocalMap(map_path=str(player.folder / MAP))
    assert not player.create(local_map=local_map).create_game.HasField("error")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"race": None}, sc_pb.ResponseJoinGame.MissingParticipation),
        ({"options": None}, sc_pb.ResponseJoinGame.MissingOptions),
        ({"race": None, "observed_player_id": 1}, sc_pb.ResponseJoinGame.InvalidObservedPlayerId),
    ],
)
def test_games_that_cannot_be_joined(player: Player, changes: dict[str, Any], error: int) -> None:
    player.create()
    answer = player.join(**changes)
    assert answer.join_game.error == error
    assert answer.status == sc_pb.init_game


@pytest.mark.parametrize(
    ("unit", "word"),
    [
        ((1, 1, 16, 16), "unknown unit type 1"),
        ((NUM_STANDARD_TYPES + 9, 1, 16, 16), "unknown unit type"),
        ((MARINE, 3, 16, 16), "no player 3"),
        ((MARINE, 2, 33, 16), "not on the map"),
    ],
)
def test_units_that_cannot_be_created(
    playing: Player, unit: tuple[int, int, float, float], word: str
) -> None:
    answer = playing.spawn(*unit)
    assert answer.WhichOneof("response") is None
    assert word in answer.error[0]
    playing.step()
    assert playing.units() == []


@pytest.mark.parametrize(
    ("order", "result"),
    [
        (lambda ours, _: (ours.tag, 4, {}), error_pb2.Success),
        (lambda ours, theirs: (ours.tag, 23, {"target_unit_tag": theirs.tag}), error_pb2.Success),
        (lambda _, theirs: (theirs.tag, 4, {}), error_pb2.YouCantControlThatUnit),
        (lambda _, __: (12345, 4, {}), error_pb2.Error),
        (lambda ours, _: (ours.tag, 3674, {}), error_pb2.NotSupported),
        (lambda ours, _: (ours.tag, 386, {"target_unit_tag": ours.tag}), error_pb2.NotSupported),
        (lambda ours, _: (ours.tag, 23, {}), error_pb2.MustTargetUnit),
        (
            lambda ours, _: (ours.tag, 23, {"target_unit_tag": 12345}),
            error_pb2.MustTargetVisibleUnit,
        ),
    ],
)
def test_orders_and_their_results(
    playing: Player,
    order: Callable[[raw_pb2.Unit, raw_pb2.Unit], tuple[int, int, dict[str, int]]],
    result: int,
) -> None:
    playing.spawn(LEARNERS_MARINE, 1, 10, 16)
    playing.spawn(MARINE, 2, 22, 16)
    playing.step()
    ours, theirs = sorted(playing.units(), key=lambda unit: unit.owner)
    unit, ability, target = order(ours, theirs)
    assert playing.order(unit, ability, **target) == result


def test_invalid_empty_and_unknown_requests_get_an_answer(playing: Player) -> None:
    for answer in (
        playing.send(b"\xff\xff\xff"),
        playing.send(b""),
        playing.ask(quick_save=sc_pb.RequestQuickSave()),
        playing.ask(debug=sc_pb.RequestDebug(debug=[debug_pb2.DebugCommand()])),
    ):
        assert answer.error
        assert answer.status == sc_pb.in_game
    assert playing.ask(id=77, step=sc_pb.RequestStep()).id == 77


def test_the_unit_types_say_what_they_are(playing: Player) -> None:
    units = playing.ask(data=sc_pb.RequestData(unit_type_id=True)).data.units
    assert [unit.unit_id for unit in units] == list(range(NUM_STANDARD_TYPES + 9))
    marine, learners = units[MARINE], units[LEARNERS_MARINE]
    assert (marine.name, learners.name) == ("Marine", "Marine_RL")
    assert marine.movement_speed == pytest.approx(2.25)
    (weapon,) = marine.weapons
    assert (weapon.damage, weapon.range) == (6.0, 5.0)
    assert weapon.speed == pytest.approx(0.8608)
    assert data_pb2.Biological in marine.attributes


def test_own_units_tell_more_than_the_enemys(playing: Player) -> None:
    playing.spawn(LEARNERS_MARINE, 1, 16, 16)
    playing.spawn(MARINE, 2, 19, 16)
    playing.step(4)
    ours, theirs = sorted(playing.units(), key=lambda unit: unit.owner)
    assert ours.HasField("weapon_cooldown")
    assert not theirs.HasField("weapon_cooldown")
    assert (ours.alliance, theirs.alliance) == (raw_pb2.Self, raw_pb2.Enemy)
    assert ours.health < 45.0


def test_the_dead_are_named_once(playing: Player) -> None:
    playing.spawn(LEARNERS_MARINE, 1, 16, 16)
    playing.step()
    (unit,) = playing.units()
    kill = debug_pb2.DebugCommand(kill_unit=debug_pb2.DebugKillUnit(tag=[unit.tag]))
    playing.ask(debug=sc_pb.RequestDebug(debug=[kill]))
    playing.step()
    shown = [playing.ask(observation=sc_pb.RequestObservation()).observation for _ in range(2)]
    assert [list(s.observation.raw_data.event.dead_units) for s in shown] == [[unit.tag], []]


def test_the_map_is_a_plain_of_32_by_32(playing: Player) -> None:
    info = playing.ask(game_info=sc_pb.RequestGameInfo()).game_info
    assert (info.start_raw.map_size.x, info.start_raw.map_size.y) == (32, 32)
    assert info.start_raw.pathing_grid.data == b"\xff" * 128
    assert info.player_info[1].difficulty == sc_pb.VeryHard


def test_a_replay_repeats_the_game(playing: Player, tmp_path: Path) -> None:
    playing.spawn(LEARNERS_MARINE, 1, 16, 16)
    playing.spawn(MARINE, 2, 22, 16)
    playing.step()
    ours = min(playing.units(), key=lambda unit: unit.owner)
    playing.order(ours.tag, 16, target_world_space_pos=common_pb2.Point2D(x=10, y=10))
    playing.step(40)
    last = playing.units()
    data = playing.ask(save_replay=sc_pb.RequestSaveReplay()).save_replay.data

    other = Player(tmp_path / "other")
    info = other.ask(replay_info=sc_pb.RequestReplayInfo(replay_data=data)).replay_info
    assert (info.base_build, info.game_duration_loops) == (BASE_BUILD, 41)
    raw = sc_pb.InterfaceOptions(raw=True)
    start = sc_pb.RequestStartReplay(replay_data=data, observed_player_id=1, options=raw)
    assert other.ask(start_replay=start).status == sc_pb.in_replay
    assert other.ask(action=sc_pb.RequestAction()).error  # a replay takes no actions
    assert other.step(41).status == sc_pb.ended
    assert other.units() == last


def test_no_replay_in_a_file_that_is_none(player: Player) -> None:
    info = player.ask(replay_info=sc_pb.RequestReplayInfo(replay_data=b"?")).replay_info
    assert info.error == sc_pb.ResponseReplayInfo.InvalidReplayData


def test_the_websocket_answers_in_order_and_quits(installation: Path) -> None:
    """Sends several requests at once, as the protocol allows, without our client.

    Every other one is a text frame, as pysc2 sends them. All answers are binary.
    """

    async def talk(url: str) -> list[sc_pb.Response]:
        async with aiohttp.ClientSession() as session:
            for _ in range(100):
                try:
                    socket = await session.ws_connect(url)
                    break
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.1)
            for number in range(20):
                ping = sc_pb.Request(ping=sc_pb.RequestPing(), id=128 + number)  # no valid text
                opcode = aiohttp.WSMsgType.TEXT if number % 2 else aiohttp.WSMsgType.BINARY
                await socket.send_frame(ping.SerializeToString(), opcode)
            answers = [sc_pb.Response.FromString(await socket.receive_bytes()) for _ in range(20)]
            await socket.send_bytes(sc_pb.Request(quit=sc_pb.RequestQuit()).SerializeToString())
            await socket.receive()
        return answers

    process = GameProcess(find_installation(None))
    answers = asyncio.run(talk(process.url))
    assert [answer.id for answer in answers] == list(range(128, 148))
    assert {answer.ping.base_build for answer in answers} == {BASE_BUILD}
    asyncio.run(process.wait_for_end(20.0))
    with pytest.raises(GameError, match="exit status 0"):  # it ended by itself
        process.check_running()
    asyncio.run(process.end())
