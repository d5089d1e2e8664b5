"""Single messages to and from the game, beyond what battles on the stand-in test."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from s2clientprotocol import common_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb
from sc2_standin.faults import provoke
from sc2_standin.replay import Replay

from rllib_ptm.checks.errors import InputError
from rllib_ptm.envs.starcraft.sc2.commands import orders
from rllib_ptm.envs.starcraft.sc2.observation import can_move, pathing_grid
from rllib_ptm.envs.starcraft.sc2.spawn import create, match_slots, owners_and_types
from rllib_ptm.envs.starcraft.sc2.unit_types import learner_ids
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.units import UNIT_TYPES, empty_units
from sc2_backend.arena import approach, by_hand
from sc2_backend.conftest import MakeBattles

CENTRE = np.array([16.0, 16.0], np.float32)


def test_the_ids_of_either_side() -> None:
    """Allies have the map's own types, the last nine, in this order; enemies the game's types."""
    ours = learner_ids(2000)
    own = ["baneling", "colossus", "hydralisk", "marauder", "marine", "medivac"]
    own += ["stalker", "zealot", "zergling"]
    assert {name: int(ours[UNIT_TYPES.index(name)]) for name in own} == {
        name: 1991 + i for i, name in enumerate(own)
    }
    army = [(name, 0.0, 0.0) for name in UNIT_TYPES]
    wanted = owners_and_types(by_hand([], army, 0, 9), 0, ours)
    assert dict(zip(UNIT_TYPES, (kind for _, kind in wanted), strict=True)) == {
        "marine": 48,
        "marauder": 51,
        "medivac": 54,
        "zealot": 73,
        "stalker": 74,
        "colossus": 4,
        "zergling": 105,
        "baneling": 9,
        "hydralisk": 107,
    }
    assert {owner for owner, _ in wanted} == {2}


def test_one_debug_command_creates_each_unit() -> None:
    spawn = by_hand([("marine", -7.0, 1.0)], [("zealot", 7.0, -1.0)], 2, 2)
    wanted = owners_and_types(spawn, 2, learner_ids(2000))
    units = [command.create_unit for command in create(spawn, wanted, CENTRE).debug.debug]
    assert [(u.unit_type, u.owner, u.pos.x, u.pos.y, u.quantity) for u in units] == [
        (1995, 1, 9.0, 17.0, 1),
        (73, 2, 23.0, 15.0, 1),
    ]


def test_units_get_slots_of_their_side_and_type() -> None:
    spawn = by_hand([("marine", 0, 0), ("zealot", 0, 0)], [("zealot", 0, 0)] * 2, 3, 3)
    wanted = owners_and_types(spawn, 3, learner_ids(2000))
    shown = [
        raw_pb2.Unit(tag=tag, owner=owner, unit_type=kind)
        for tag, owner, kind in ((40, 2, 73), (10, 1, 1998), (20, 2, 73), (30, 1, 1995))
    ]
    assert match_slots(shown, spawn, wanted) == {30: 0, 10: 1, 20: 3, 40: 4}
    assert match_slots(shown[1:], spawn, wanted) is None  # one unit is missing
    surplus = raw_pb2.Unit(tag=50, owner=1, unit_type=1995)
    assert match_slots([*shown, surplus], spawn, wanted) is None


def test_orders_are_those_of_smac() -> None:
    units = empty_units(1, 7, 7)[0]
    units.unit_type[6] = UNIT_TYPES.index("medivac")
    units.position[:7] = 1.0, 2.0
    tags = {slot: 100 + slot for slot in range(14)}
    actions = np.array([0, 1, 2, 3, 4, 5, 6 + 2])
    request = orders(actions, units, tags, CENTRE).action
    commands = [action.action_raw.unit_command for action in request.actions]
    assert [list(c.unit_tags) for c in commands] == [[101], [102], [103], [104], [105], [106]]
    assert [c.ability_id for c in commands] == [4, 16, 16, 16, 16, 386]
    points = [(c.target_world_space_pos.x, c.target_world_space_pos.y) for c in commands[1:5]]
    assert points == [(17.0, 20.0), (17.0, 16.0), (19.0, 18.0), (15.0, 18.0)]
    assert commands[5].target_unit_tag == 102  # the ally with tag 2
    assert not any(c.queue_command for c in commands)
    attack = orders(np.array([6 + 4, 0, 0, 0, 0, 0, 0]), units, tags, CENTRE).action
    (command,) = (action.action_raw.unit_command for action in attack.actions)
    assert (command.ability_id, command.target_unit_tag) == (23, 107 + 4)


def grid(bits: int, data: bytes, width: int, height: int) -> raw_pb2.StartRaw:
    size = common_pb2.Size2DI(x=width, y=height)
    image = common_pb2.ImageData(bits_per_pixel=bits, size=size, data=data)
    return raw_pb2.StartRaw(map_size=size, pathing_grid=image)


def test_the_pathing_grid_as_the_game_packs_it() -> None:
    # Two rows of eight cells. Lower row: all but the left cell. Upper row: only the right two.
    pathing = pathing_grid(grid(1, bytes([0b01111111, 0b00000011]), 8, 2))
    assert pathing.shape == (8, 2)
    assert pathing[:, 0].tolist() == [False, *[True] * 7]
    assert pathing[:, 1].tolist() == [*[False] * 6, True, True]


def test_the_pathing_grid_of_old_versions() -> None:
    """One byte per cell, 255 = blocked, the uppermost row first."""
    pathing = pathing_grid(grid(8, bytes([0, 255, 255, 255, 0, 0]), 3, 2))
    assert pathing.T.tolist() == [[False, True, True], [True, False, False]]


@pytest.mark.parametrize(
    ("blocked", "allowed"),
    [
        ((16, 17), [False, True, True, True]),
        ((16, 15), [True, False, True, True]),
        ((17, 16), [True, True, False, True]),
        ((15, 16), [True, True, True, False]),
        ((16, 16), [True, True, True, True]),
        ((18, 16), [True, True, True, True]),
    ],
)
def test_a_move_needs_a_pathable_cell_half_a_move_ahead(
    blocked: tuple[int, int], allowed: list[bool]
) -> None:
    pathing = np.ones((32, 32), bool)
    pathing[blocked] = False
    assert can_move(np.array([[0.4, 0.4]]), pathing, CENTRE).tolist() == [allowed]


def test_replays_are_written_for_each_game(make: MakeBattles, tmp_path: Path) -> None:
    folder = tmp_path / "replays"
    battles = make("2m", 2, save_replay_dir=str(folder))
    task = parse_task("2m")
    units = battles.reset(np.arange(2), [task] * 2, [0, 1])
    for _ in range(5):
        units = battles.step(approach(units))
    assert not list(folder.iterdir())
    battles.reset(np.zeros(1, int), [task], [2])
    (first,) = folder.glob("*.SC2Replay")
    after_one_battle = Replay.from_bytes(first.read_bytes())
    battles.close()
    replays = [Replay.from_bytes(path.read_bytes()) for path in folder.glob("*.SC2Replay")]
    assert len(replays) == 2
    assert after_one_battle is not None
    assert after_one_battle.loops >= 5 * 8
    for replay in replays:
        assert replay is not None
        assert replay.create.local_map.map_path == "SMAC_Maps/32x32_flat.SC2Map"
        assert any(request.HasField("action") for _, request in replay.requests)
    # The replay of the game with two battles contains both.
    again = Replay.from_bytes(first.read_bytes())
    assert again is not None
    assert again.loops > after_one_battle.loops
    assert "4.10" in first.name


def test_a_replay_that_cannot_be_saved_is_only_a_warning(
    make: MakeBattles, installation: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    battles = make("2m", save_replay_dir=str(tmp_path / "replays"))
    units = battles.reset(np.zeros(1, int), [parse_task("2m")], [0])
    provoke(installation, "crash")
    battles.step(approach(units))
    assert battles.failed.all()
    assert "the replay lacks the last battle" in caplog.text
    battles.reset(np.zeros(1, int), [parse_task("2m")], [0])


def test_a_full_disk_costs_the_replay_only(
    make: MakeBattles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "replays"
    battles = make("2m", save_replay_dir=str(folder))
    for _ in range(2):
        battles.reset(np.zeros(1, int), [parse_task("2m")], [0])
    (replay,) = folder.iterdir()
    whole = replay.read_bytes()

    def write_bytes(path: Path, data: bytes) -> int:
        path.touch()  # what a full disk leaves of a file
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    battles.reset(np.zeros(1, int), [parse_task("2m")], [0])
    battles.close()
    assert caplog.text.count("the replay lacks the last battle: [Errno 28]") == 2
    assert battles.num_game_restarts == 0
    assert [path.name for path in folder.iterdir()] == [replay.name]
    assert replay.read_bytes() == whole


def test_a_folder_that_cannot_hold_replays_is_refused(make: MakeBattles, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"env_config\.save_replay_dir: .*file"):
        make("2m", save_replay_dir=str(tmp_path / "file" / "replays"))


@pytest.mark.parametrize("level", ["1", "A"])
def test_the_computer_player_has_the_chosen_difficulty(make: MakeBattles, level: str) -> None:
    battles = make("1m", difficulty=level)
    battles.reset(np.zeros(1, int), [parse_task("1m")], [0])
    (game,) = battles._games
    responses: list[sc_pb.Response] = []

    async def ask() -> None:
        assert game is not None
        responses.extend(await game._ask(sc_pb.Request(game_info=sc_pb.RequestGameInfo())))

    battles._event_loop.run_all([ask()])
    names = {"1": "VeryEasy", "7": "VeryHard", "A": "CheatInsane"}
    difficulty = responses[0].game_info.player_info[1].difficulty
    assert sc_pb.Difficulty.Name(difficulty) == names[level]
