"""What other clients than ours ask of the stand-in: SMAC's, SMACv2's and REFIL's, and pysc2."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from s2clientprotocol import common_pb2, debug_pb2, error_pb2, query_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb
from sc2_standin.__main__ import command_line
from sc2_standin.builds import BUILDS
from sc2_standin.installation import MAP, MAPS
from sc2_standin.maps import MAPS as TABLE

from sc2_backend.player import LEARNERS_MARINE, MARINE, Player

STOP, MOVE, ATTACK, HEAL = 4, 16, 23, 386
CENTRE = common_pb2.Point2D(x=16, y=16)


def cheat(player: Player, state: debug_pb2.DebugGameState.ValueType) -> None:
    command = debug_pb2.DebugCommand(game_state=state)
    assert not player.ask(debug=sc_pb.RequestDebug(debug=[command])).error


def observe(player: Player) -> sc_pb.ResponseObservation:
    return player.ask(observation=sc_pb.RequestObservation()).observation


def start(player: Player, map_name: str) -> None:
    """Starts a game on a map, of which SMAC sends the content too."""
    path = f"{MAPS.name}/{map_name}.SC2Map"
    content = (player.folder / "Maps" / path).read_bytes()
    assert not player.create(
        local_map=sc_pb.LocalMap(map_path=path, map_data=content)
    ).create_game.HasField("error")
    player.join()


def armies(player: Player) -> Counter[tuple[int, int]]:
    """How many units there are of each owner and type."""
    return Counter((unit.owner, unit.unit_type) for unit in player.units())


PYSC2 = "-listen 127.0.0.1 -port 5000 -dataDir /game/ -tempDir /tmp/sc-x/"


@pytest.mark.parametrize(
    "more",
    [
        "-eglpath libEGL.so",  # pysc2's default, for pictures
        "-osmesapath libOSMesa.so.8",
        "-headlessNoRender",
        "-verbose -verboseMP -ipv6",
        "-dataVersion B89B5D6FA7CBF6452E721311BFBC6CB2",
        "-displayMode 0 -windowwidth 640 -windowheight 480 -windowx 50 -windowy 50",
    ],
)
def test_the_games_command_line(more: str) -> None:
    arguments = vars(command_line().parse_args(f"{PYSC2} {more}".split()))
    assert arguments["port"] == 5000
    for word in more.split():
        if word.startswith("-"):
            assert arguments[word[1:]] is not None


@pytest.mark.parametrize("wrong", ["-fullscreen", "-verb", "-displayMode 2", "replay.SC2Replay"])
def test_other_arguments_are_refused(wrong: str) -> None:
    with pytest.raises(SystemExit):
        command_line().parse_args(f"{PYSC2} {wrong}".split())


@pytest.mark.parametrize(("base_build", "first"), [(69232, 1935), (75689, 1970)])
def test_the_learners_types_depend_on_the_build(
    tmp_path: Path, base_build: int, first: int
) -> None:
    """REFIL has the ids of 4.6.2 in its code."""
    player = Player(tmp_path, base_build)
    player.create()
    player.join()
    ping = player.ask(ping=sc_pb.RequestPing()).ping
    assert ping.base_build == base_build
    assert (ping.game_version, ping.data_version) == BUILDS[base_build][:2]
    types = player.ask(data=sc_pb.RequestData(unit_type_id=True)).data.units
    assert [types[i].name for i in (first, first + 4, first + 8)] == [
        *("Baneling_RL", "Marine_RL", "Zergling_RL")
    ]
    assert len(types) == first + 9
    player.spawn(first + 4, 1, 16, 16)
    player.step()
    assert armies(player) == {(1, first + 4): 1}


@pytest.mark.parametrize(
    ("map_name", "units"),
    [
        ("32x32_flat", {}),
        ("empty_passive", {}),
        ("3m", {(1, 1970): 3, (2, MARINE): 3}),
        ("2s3z", {(1, 1970): 2, (1, 1971): 3, (2, 74): 2, (2, 73): 3}),
        ("8m_vs_9m", {(1, 1970): 8, (2, MARINE): 9}),
        (
            "MMM",
            {(1, 1970): 2, (1, 1971): 7, (1, 1972): 1, (2, 51): 2, (2, MARINE): 7, (2, 54): 1},
        ),
    ],
)
def test_maps_place_their_armies(
    player: Player, map_name: str, units: dict[tuple[int, int], int]
) -> None:
    """At once, and again when no unit is left: SMAC starts its next episode so."""
    start(player, map_name)
    assert player.ask(game_info=sc_pb.RequestGameInfo()).game_info.map_name == map_name
    assert armies(player) == units
    tags = [unit.tag for unit in player.units()]
    kill = debug_pb2.DebugCommand(kill_unit=debug_pb2.DebugKillUnit(tag=tags))
    player.ask(debug=sc_pb.RequestDebug(debug=[kill]))
    player.step(2)
    assert armies(player) == units
    assert not {unit.tag for unit in player.units()} & set(tags)


def test_the_tables_maps_are_installed(player: Player) -> None:
    paths = player.ask(available_maps=sc_pb.RequestAvailableMaps()).available_maps.local_map_paths
    assert list(paths) == sorted(f"{MAPS.name}/{name}.SC2Map" for name in TABLE)


def test_a_map_under_the_name_of_another(player: Player) -> None:
    (player.folder / MAP).write_bytes(TABLE["2s3z"].file_content())
    player.create()
    player.join()
    assert sum(armies(player).values()) == 10


def test_a_map_that_the_standin_does_not_play(player: Player) -> None:
    (player.folder / MAPS / "corridor.SC2Map").write_bytes(b"MPQ\x1b...")
    answer = player.create(local_map=sc_pb.LocalMap(map_path="SMAC_Maps/corridor.SC2Map"))
    assert "does not play the map 'SMAC_Maps/corridor.SC2Map'" in answer.error[0]
    assert answer.status == sc_pb.launched


@pytest.mark.parametrize(("map_name", "walks"), [("32x32_flat", True), ("empty_passive", False)])
def test_only_a_map_with_a_trigger_moves_the_enemies(
    player: Player, map_name: str, walks: bool
) -> None:
    start(player, map_name)
    player.spawn(LEARNERS_MARINE, 1, 4, 16)
    player.spawn(MARINE, 2, 28, 16)
    player.step(40)
    enemy = max(player.units(), key=lambda unit: unit.owner)
    assert (enemy.pos.x < 27) == walks


def test_the_enemies_of_3m_attack_towards_the_learners_point(player: Player) -> None:
    start(player, "3m")
    player.step(150)
    shown = {unit.owner: unit for unit in player.units()}
    assert shown[1].health < 45 or len(player.units()) < 6
    assert shown[2].pos.x < 18


def test_the_learner_may_command_the_enemies_until_it_asks_again(player: Player) -> None:
    """REFIL asks once per episode, so it commands them in every other one."""
    start(player, "empty_passive")
    player.spawn(MARINE, 2, 28, 16)
    player.step()
    (enemy,) = player.units()
    results = []
    for _ in range(3):
        results.append(player.order(enemy.tag, ATTACK, target_world_space_pos=CENTRE))
        cheat(player, debug_pb2.control_enemy)
    assert results == [error_pb2.YouCantControlThatUnit, error_pb2.Success, results[0]]
    player.step(40)
    assert player.units()[0].pos.x < 27


def test_an_attack_towards_a_point_fights_on_its_way(playing: Player) -> None:
    playing.spawn(LEARNERS_MARINE, 1, 6, 16)
    playing.spawn(54, 2, 14, 19)  # a medivac, which does not attack
    playing.step()
    ours, theirs = sorted(playing.units(), key=lambda unit: unit.owner)
    playing.order(ours.tag, ATTACK, target_world_space_pos=common_pb2.Point2D(x=20, y=16))
    playing.step(80)
    enemy = max(playing.units(), key=lambda unit: unit.owner)
    assert enemy.health < theirs.health


def test_the_other_cheats(playing: Player) -> None:
    cheat(playing, debug_pb2.all_resources)
    cheat(playing, debug_pb2.gas)
    common = observe(playing).observation.player_common
    assert (common.minerals, common.vespene) == (5000, 10000)
    cheat(playing, debug_pb2.god)
    playing.spawn(LEARNERS_MARINE, 1, 16, 16)
    playing.spawn(MARINE, 2, 19, 16)
    playing.step(20)
    assert [unit.health for unit in playing.units()] == [45, 45]
    cheat(playing, debug_pb2.god)
    playing.step(20)
    assert min(unit.health for unit in playing.units()) < 45


def test_drawings_have_no_effect(playing: Player) -> None:
    """SMACv2 draws what its agents see."""
    line = debug_pb2.DebugLine(line=debug_pb2.Line(p0=common_pb2.Point(), p1=common_pb2.Point()))
    draw = debug_pb2.DebugCommand(draw=debug_pb2.DebugDraw(lines=[line]))
    answer = playing.ask(debug=sc_pb.RequestDebug(debug=[draw]))
    assert answer.WhichOneof("response") == "debug"
    assert not answer.error


def test_chat_and_actions_are_observed_once(playing: Player) -> None:
    chat = sc_pb.ActionChat(channel=sc_pb.ActionChat.Broadcast, message="good luck")
    action = sc_pb.RequestAction(actions=[sc_pb.Action(action_chat=chat)])
    assert list(playing.ask(action=action).action.result) == [error_pb2.Success]
    first, second = observe(playing), observe(playing)
    assert [(line.player_id, line.message) for line in first.chat] == [(1, "good luck")]
    assert [done.action_chat.message for done in first.actions] == ["good luck"]
    assert not second.chat
    assert not second.actions


def query(player: Player, **questions: Any) -> query_pb2.ResponseQuery:
    return player.ask(query=query_pb2.RequestQuery(**questions)).query


def test_queries(playing: Player) -> None:
    playing.spawn(LEARNERS_MARINE, 1, 16, 16)
    playing.spawn(LEARNERS_MARINE + 1, 1, 10, 10)  # a medivac
    playing.step()
    marine, medivac = (unit.tag for unit in sorted(playing.units(), key=lambda u: u.unit_type))
    at = common_pb2.Point2D
    paths = query(
        playing,
        pathing=[
            query_pb2.RequestQueryPathing(unit_tag=marine, end_pos=at(x=19, y=20)),
            query_pb2.RequestQueryPathing(start_pos=at(x=0, y=0), end_pos=at(x=6, y=8)),
            query_pb2.RequestQueryPathing(unit_tag=1, end_pos=at(x=19, y=20)),
            query_pb2.RequestQueryPathing(unit_tag=marine, end_pos=at(x=40, y=20)),
        ],
    )
    assert [answer.distance for answer in paths.pathing] == pytest.approx([5, 10, 0, 0])
    can = query(
        playing,
        abilities=[
            query_pb2.RequestQueryAvailableAbilities(unit_tag=tag) for tag in (marine, medivac, 1)
        ],
    )
    assert [[a.ability_id for a in answer.abilities] for answer in can.abilities] == [
        [STOP, MOVE, ATTACK],
        [STOP, MOVE, HEAL],
        [],
    ]
    places = query(
        playing,
        placements=[
            query_pb2.RequestQueryBuildingPlacement(ability_id=1, target_pos=at(x=x, y=16))
            for x in (16, 20, 40)
        ],
    )
    taken = error_pb2.CantBuildLocationInvalid
    assert [answer.result for answer in places.placements] == [taken, error_pb2.Success, taken]


def test_data_has_the_tables_that_were_asked_for(playing: Player) -> None:
    table = playing.ask(data=sc_pb.RequestData(ability_id=True)).data
    assert [row.ability_id for row in table.abilities] == [STOP, MOVE, ATTACK, HEAL]
    assert not table.units


@pytest.mark.parametrize(
    ("end", "results"),
    [
        (debug_pb2.DebugEndGame.Surrender, [sc_pb.Defeat, sc_pb.Victory]),
        (debug_pb2.DebugEndGame.DeclareVictory, [sc_pb.Victory, sc_pb.Defeat]),
    ],
)
def test_the_end_of_a_game_has_a_winner(
    playing: Player, end: debug_pb2.DebugEndGame.EndResult.ValueType, results: list[int]
) -> None:
    command = debug_pb2.DebugCommand(end_game=debug_pb2.DebugEndGame(end_result=end))
    playing.ask(debug=sc_pb.RequestDebug(debug=[command]))
    assert [result.result for result in observe(playing).player_result] == results


def test_only_the_interfaces_that_were_asked_for(player: Player) -> None:
    player.create()
    player.join(options=sc_pb.InterfaceOptions(score=True))
    assert not player.ask(game_info=sc_pb.RequestGameInfo()).game_info.HasField("start_raw")
    score = debug_pb2.DebugCommand(score=debug_pb2.DebugSetScore(score=7))
    player.ask(debug=sc_pb.RequestDebug(debug=[score]))
    shown = observe(player).observation
    assert not shown.HasField("raw_data")
    assert shown.score.score == 7


def test_pictures(player: Player) -> None:
    """pysc2 asks for feature layers, and for pictures if its user does."""
    small, large = common_pb2.Size2DI(x=16, y=8), common_pb2.Size2DI(x=32, y=32)
    setup = sc_pb.SpatialCameraSetup(width=32, resolution=small, minimap_resolution=large)
    player.create()
    player.join(options=sc_pb.InterfaceOptions(feature_layer=setup, render=setup))
    player.spawn(MARINE, 2, 5.5, 30.5)
    player.step()
    shown = observe(player).observation
    for layers, size in (
        (shown.feature_layer_data.renders, small),
        (shown.feature_layer_data.minimap_renders, large),
    ):
        for field in layers.DESCRIPTOR.fields:
            image = getattr(layers, field.name)
            assert image.size == size
            assert 8 * len(image.data) == image.bits_per_pixel * size.x * size.y, field.name
    minimap = np.frombuffer(shown.feature_layer_data.minimap_renders.player_relative.data, np.uint8)
    assert np.argwhere(minimap.reshape(32, 32)).tolist() == [[1, 5]]  # rows from the north
    colours = np.frombuffer(shown.render_data.minimap.data, np.uint8).reshape(32, 32, 3)
    assert colours[1, 5].tolist() == [255, 0, 0]
    assert colours.sum() == 255


def test_the_players_races(playing: Player) -> None:
    """pysc2 names them at the start of an episode."""
    info = playing.ask(game_info=sc_pb.RequestGameInfo()).game_info
    assert [row.race_requested for row in info.player_info] == [common_pb2.Terran] * 2


@pytest.mark.parametrize(("enemy", "comes"), [(MARINE, True), (73, False)])  # 73: a zealot
def test_the_trigger_names_the_closest_unit_even_if_it_flies(
    playing: Player, enemy: int, comes: bool
) -> None:
    playing.spawn(LEARNERS_MARINE, 1, 4, 16)
    playing.spawn(LEARNERS_MARINE + 1, 1, 12, 16)  # a medivac
    playing.spawn(enemy, 2, 28, 16)
    playing.step(40)
    assert (max(playing.units(), key=lambda unit: unit.owner).pos.x < 27) == comes
