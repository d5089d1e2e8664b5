"""What the game does on real machines, as far as the stand-in can show it."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from s2clientprotocol import data_pb2, debug_pb2, error_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb
from sc2.versions import VERSIONS
from sc2_standin import maps
from sc2_standin.faults import provoke
from sc2_standin.installation import BASE_BUILD, BUILD_INFO, MAP, install

from rllib_ptm.checks.errors import InputError
from rllib_ptm.envs.starcraft.sc2 import battles as battles_module
from rllib_ptm.envs.starcraft.sc2 import game as game_module
from rllib_ptm.envs.starcraft.sc2 import game_process
from rllib_ptm.envs.starcraft.sc2.battles import Sc2Battles
from rllib_ptm.envs.starcraft.sc2.client import GameClient
from rllib_ptm.envs.starcraft.sc2.errors import GameError
from rllib_ptm.envs.starcraft.sc2.game_process import GameProcess, reserve_port
from rllib_ptm.envs.starcraft.sc2.installation import find_installation
from rllib_ptm.envs.starcraft.sc2.unit_types import LEARNER_NAMES, check_learner_types
from rllib_ptm.envs.starcraft.tasks import parse_task
from sc2_backend.arena import do, processes_of, stage
from sc2_backend.conftest import MakeBattles

OLDER = 69232  # 4.6.2
FAR = [("marine", 14.0, 14.0)]
EAST = 4


def begin(battles: Sc2Battles, task: str = "1m") -> int:
    """Begins an episode, and returns the number of living units."""
    which = np.arange(battles.num_battles)
    units = battles.reset(which, [parse_task(task)] * len(which), which.tolist())
    return int(units.alive.sum())


def ask(battles: Sc2Battles, request: sc_pb.Request) -> sc_pb.Response:
    """Sends a request to the first battle's game."""
    answers = []
    game = battles._games[0]
    assert game is not None

    async def tell() -> None:
        answers.extend(await game._ask(request))

    battles._event_loop.run_all([tell()])
    return answers[0]


def test_a_build_beside_another_one_starts_with_its_data_version(
    make: MakeBattles, installation: Path
) -> None:
    install(installation, base_build=OLDER)  # the data are now that build's
    battles = make("1m", game_version="4.10")
    assert begin(battles) == 2
    ping = ask(battles, sc_pb.Request(ping=sc_pb.RequestPing())).ping
    (row,) = (row for row in VERSIONS if row["base-version"] == BASE_BUILD)
    assert (ping.base_build, ping.data_version) == (BASE_BUILD, row["data-hash"])
    assert find_installation("4.10.0") == find_installation("4.10")  # as pysc2 names it


def test_the_newest_build_finds_its_data_itself_or_the_error_says_what_to_set(
    make: MakeBattles, installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(battles_module, "START_ATTEMPTS", 1)
    assert "-dataVersion" not in find_installation(None).command("127.0.0.1", 5000)
    install(installation, base_build=OLDER)
    with pytest.raises(InputError) as error:
        begin(make("1m"))
    message = str(error.value)
    assert "\n" not in message
    assert f'NGDP:"B{OLDER}" != Exe:"B{BASE_BUILD}"' in message
    assert "set env_config.game_version to '4.10'" in message
    assert "SC2_x64[0x" not in message  # no backtrace


def test_a_game_without_its_data_says_what_is_missing(
    make: MakeBattles, installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(battles_module, "START_ATTEMPTS", 1)
    (installation / BUILD_INFO).unlink()
    with pytest.raises(InputError, match=r"NGDP:E_NOT_AVAILABLE.* hidden file \.build\.info"):
        begin(make("1m"))


def test_the_games_libraries_come_before_the_users_and_for_the_game_only(
    make: MakeBattles, installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/the/users")
    provoke(installation, "needs_libraries", always=True)
    battles = make("1m")
    assert begin(battles) == 2
    assert battles.num_game_restarts == 0
    found = {
        kind: line.removeprefix("LD_LIBRARY_PATH=")
        for pid in processes_of(installation)
        for kind in ["watchdog" if "watchdog.py" in _read(pid, "cmdline") else "game"]
        for line in _read(pid, "environ").split("\0")
        if line.startswith("LD_LIBRARY_PATH=")
    }
    assert found == {"watchdog": "/the/users", "game": f"{installation}/Libs:/the/users"}
    assert os.environ["LD_LIBRARY_PATH"] == "/the/users"


def _read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def test_another_map_is_one_clear_message(make: MakeBattles, installation: Path) -> None:
    (installation / MAP).write_bytes(maps.MAPS["3m"].file_content())
    battles = make("1m")
    with pytest.raises(InputError) as error:
        begin(battles)
    message = str(error.value)
    assert "\n" not in message
    assert "32x32_flat.SC2Map is not SMACv2's" in message
    assert "Colosus_RL" in message
    assert "Marine_RL" in message
    assert "copy the folder SMAC_Maps" in message
    assert battles.num_game_restarts == 0  # another game would have the same map


def test_a_file_that_is_no_map_is_one_clear_message(
    make: MakeBattles, installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(battles_module, "START_ATTEMPTS", 1)
    (installation / MAP).write_bytes(b"<html>404</html>")
    with pytest.raises(InputError, match=r"32x32_flat.SC2Map' is no map; copy the folder"):
        begin(make("1m"))


def test_the_learning_sides_types_are_known_by_their_names() -> None:
    def types(*names: str) -> list[data_pb2.UnitTypeData]:
        return [data_pb2.UnitTypeData(unit_id=i, name=name) for i, name in enumerate(names)]

    check_learner_types(types("Marine", "SCV", *LEARNER_NAMES))
    for wrong in (
        ["Marine", *LEARNER_NAMES[:-1]],  # one is missing
        [*LEARNER_NAMES, "Late"],  # a type follows them
        ["", *LEARNER_NAMES[1:]],  # a type of another map
        [*LEARNER_NAMES[:3], LEARNER_NAMES[4], LEARNER_NAMES[3], *LEARNER_NAMES[5:]],
        [],
    ):
        with pytest.raises(InputError, match=r"expected .*Colosus_RL"):
            check_learner_types(types(*wrong))


@pytest.mark.parametrize(
    "spelt",
    [
        [name.replace("Colosus", "Colossus") for name in LEARNER_NAMES],
        [name.removesuffix("_RL") for name in LEARNER_NAMES],
        [f"RL {name.removesuffix('_RL').lower()}" for name in LEARNER_NAMES],
        [""] * len(LEARNER_NAMES),
    ],
)
def test_the_learning_sides_types_may_be_spelt_otherwise(
    spelt: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    check_learner_types(data_pb2.UnitTypeData(name=name) for name in ["SCV", *spelt])
    assert ("does not name" in caplog.text) == (not any(spelt))


def test_the_answer_to_a_debug_request_may_have_no_body(
    make: MakeBattles, installation: Path
) -> None:
    provoke(installation, "bare_debug", always=True)
    battles = make("1m")
    assert begin(battles) == 2
    assert begin(battles) == 2  # the old units were removed
    assert battles.num_game_restarts == 0
    # An error is one here, too.
    nothing = debug_pb2.DebugCommand(kill_unit=debug_pb2.DebugKillUnit())
    unknown = debug_pb2.DebugCommand(create_unit=debug_pb2.DebugCreateUnit(unit_type=1, owner=1))
    ask(battles, sc_pb.Request(debug=sc_pb.RequestDebug(debug=[nothing])))
    with pytest.raises(GameError, match="'debug' was refused: unknown unit type 1"):
        ask(battles, sc_pb.Request(debug=sc_pb.RequestDebug(debug=[unknown])))


def test_a_game_is_asked_to_quit_before_it_is_killed(
    make: MakeBattles, installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(game_module, "QUIT_TIME_LIMIT_S", 0.3)
    outputs = {}
    for fault in (None, "ignore_quit"):
        if fault is not None:
            provoke(installation, fault, always=True)
        battles = make("1m")
        begin(battles)
        processes = [game._process for game in battles._games if game is not None]
        began = time.monotonic()
        battles.close()
        assert time.monotonic() - began < 3.0
        assert processes_of(installation) == []
        outputs[fault] = [process._output.decode() for process in processes]
    for output in outputs[None]:
        assert "exit status 0" in output
        assert "RequestQuit command received" in output
    assert not any("exit status" in output for output in outputs["ignore_quit"])


def test_a_game_is_restarted_after_a_number_of_episodes(make: MakeBattles) -> None:
    battles = make("1m", restart_after_episodes=2)
    games = []
    for _ in range(3):
        assert begin(battles) == 2
        games.append(battles._games[0])
    assert [games.index(game) for game in games] == [0, 0, 2]
    assert battles.num_game_restarts == 0  # no game failed


def test_a_port_that_another_process_has_taken_is_not_played_on(
    make: MakeBattles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Our game cannot listen. Another game would answer in its place, and a server never."""
    battles = make("1m")
    foreign = GameProcess(find_installation(None))
    silent = socket.create_server(("", 0))
    ports = iter([foreign.port, silent.getsockname()[1]])

    def reserve() -> tuple[object, int]:
        holder, port = reserve_port()
        return holder, next(ports, port)

    async def wait() -> None:
        client = await GameClient.connect(foreign.url, 20.0, foreign.check_starting)
        await client.close()

    try:
        battles._event_loop.run_all([wait()])
        monkeypatch.setattr(game_process, "reserve_port", reserve)
        assert begin(battles) == 2
        (game,) = battles._games
        assert game is not None
        assert game._process.port not in (foreign.port, silent.getsockname()[1])
        assert battles.num_game_restarts == 2
        for port in (foreign.port, silent.getsockname()[1]):
            assert f"port {port} was taken by another process" in caplog.text
    finally:
        silent.close()
        battles._event_loop.run_all([foreign.end()])


@pytest.mark.parametrize("hidden", [True, False])
def test_where_sockets_are_not_known_a_game_is_taken_as_our_own(
    make: MakeBattles, monkeypatch: pytest.MonkeyPatch, hidden: bool
) -> None:
    """Some containers hide the kernel's table, others show no inodes in it."""
    read = Path.read_text

    def read_text(path: Path) -> str:
        if not str(path).startswith("/proc/net/tcp"):
            return read(path)
        if hidden:
            raise PermissionError(13, "Permission denied", str(path))
        head, *rows = read(path).splitlines()
        fields = [row.split() for row in rows]
        return "\n".join([head, *(" ".join([*row[:9], "0", *row[10:]]) for row in fields)])

    monkeypatch.setattr(Path, "read_text", read_text)
    battles = make("1m")
    assert begin(battles) == 2
    assert battles.num_game_restarts == 0


def test_the_enemy_attacks_the_teams_starting_point_if_that_is_asked_for(
    make: MakeBattles,
) -> None:
    """As in REFIL. By the map's trigger, the enemy pursues the ally that flees."""
    ends = {}
    for orders in ("map", "attack_move"):
        battles = make("2m_vs_2m", enemy_orders=orders)
        for _ in range(2):  # the control of the enemy lasts
            allies, enemies = [("marine", -9.0, 0.0)], [("marine", 4.0, 0.0), ("medivac", 5.0, 0.0)]
            units = stage(battles, allies, enemies)
            for _ in range(11):  # the ally flees along the map's edge
                units = battles.step(do(units, 0, 2))
            ends[orders] = units.position[0, 2]
            assert not battles.failed.any()
    assert abs(ends["attack_move"][1]) < 0.5  # straight to the starting point
    assert ends["map"][1] > 1.0


def test_orders_to_the_enemy_need_control_of_it_and_a_second_request_ends_it(
    make: MakeBattles,
) -> None:
    battles = make("1m")
    begin(battles)
    game = battles._games[0]
    assert game is not None
    order = game_module.attack_move([game._tag_of_slot[1]], (16.0, 16.0))
    control = sc_pb.Request(debug=sc_pb.RequestDebug(debug=[game_module.CONTROL_ENEMY]))
    results = []
    for _ in range(3):
        results += ask(battles, order).action.result
        ask(battles, control)
    refused, taken = error_pb2.YouCantControlThatUnit, error_pb2.Success
    assert results == [refused, taken, refused]


def test_the_order_to_the_enemy_is_refils() -> None:
    command = game_module.attack_move([7, 8], (3.0, 4.5)).action.actions[0].action_raw.unit_command
    assert command.ability_id == 23
    assert list(command.unit_tags) == [7, 8]
    point = command.target_world_space_pos
    assert (point.x, point.y) == (3.0, 4.5)
    assert command.HasField("queue_command")
    assert not command.queue_command
    assert game_module.CONTROL_ENEMY.game_state == debug_pb2.control_enemy


def test_the_teams_medivac_moves_faster_than_the_enemys(make: MakeBattles) -> None:
    battles = make("2m_vs_2m")
    units = stage(battles, [("medivac", 0.0, 0.0), ("marine", -9.0, 0.0)], FAR)
    after = battles.step(do(units, 0, EAST))
    assert after.position[0, 0, 0] == pytest.approx(8 * 2.75 / 16, abs=1e-4)
