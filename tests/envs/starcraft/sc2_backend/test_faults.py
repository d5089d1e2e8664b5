"""Games that fail: play continues, the failed episode is dropped, no process or folder remains."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test
from sc2_standin.faults import provoke
from sc2_standin.installation import install
from starcraft_game import starcraft

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.contract import FloatArray, IntArray, TeamView
from rllib_ptm.environment.starcraft import StarCraftTeams
from rllib_ptm.envs import parallel_env
from rllib_ptm.envs.starcraft.sc2.battles import Sc2Battles
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.play.rollout import Rollout
from rllib_ptm.replay.episodes import TeamEpisode
from sc2_backend.arena import approach, left_behind, processes_of
from sc2_backend.conftest import MakeBattles, settings

STOP = 1


class Attacker:
    """A policy that attacks if it can, else moves east."""

    def utilities(self, view: TeamView) -> FloatArray:
        actions = np.arange(view.action_mask.shape[-1], dtype=np.float32)
        return np.broadcast_to(actions, view.action_mask.shape)

    def reset(self, envs: IntArray) -> None:
        pass


def play(
    battles: Sc2Battles, episodes: int, fault: str | None = None, value: float = 0.0
) -> Counter:
    """Plays episodes of 3m with a fault after the second. Counts the played episodes by seed."""
    schedule = iter([("3m", seed) for seed in range(episodes)])
    rollout = Rollout(
        starcraft("3m", backend="sc2"), StarCraftTeams(battles, lambda task: 15), schedule
    )
    played: list[TeamEpisode] = []
    provoked = fault is None
    while not rollout.idle:
        if len(played) >= 2 and not provoked:
            provoke(battles._installation.folder, str(fault), value)
            provoked = True
        played += rollout.step(Attacker(), 0.0, np.random.default_rng(0))
    for episode in played:
        assert episode.record["step"].tolist() == list(range(len(episode) + 1))
        assert np.isfinite(episode.rewards).all()
    # The allies' first positions identify the seed.
    return Counter(episode.record["position"][0, :3].tobytes() for episode in played)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    """The result of ``play`` without a fault."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SC2PATH", str(install(tmp_path_factory.mktemp("undisturbed") / "game")))
        battles = settings("3m").make_battles(2)
        assert isinstance(battles, Sc2Battles)
        yield play(battles, 6)
        battles.close()


@pytest.mark.parametrize(
    ("fault", "value", "restarts"),
    [
        ("crash", 0, 1),
        ("hang", 0, 1),
        ("late", 5, 1),  # longer than the time limit
        ("late", 0.5, 0),
        ("lose_unit", 0, 0),  # a missing unit counts as dead, and the battle continues
        ("fail_spawn", 0, 1),
        ("end_game", 0, 1),
    ],
)
def test_play_continues_after_a_fault(
    make: MakeBattles, undisturbed: Counter, fault: str, value: float, restarts: int
) -> None:
    battles = make("3m", 2, request_time_limit_s=2.0)
    played = play(battles, 6, fault, value)
    assert sum(played.values()) == 6
    assert played == undisturbed  # each battle once, also the one that failed
    assert battles.num_game_restarts == restarts


def test_a_failed_game_is_reported_and_the_others_continue(
    make: MakeBattles, installation: Path, caplog: pytest.LogCaptureFixture
) -> None:
    battles = make("3m", 3)
    before = battles.reset(np.arange(3), [parse_task("3m")] * 3, [0, 1, 2])
    provoke(installation, "crash")
    after = battles.step(np.full((3, 3), STOP))
    assert battles.failed.sum() == 1
    (lost,) = np.flatnonzero(battles.failed)
    assert "the game's process ended: exit status -9" in caplog.text
    assert after.step[battles.failed].tolist() == [0]
    assert after.step[~battles.failed].tolist() == [1, 1]
    np.testing.assert_array_equal(after.position[lost], before.position[lost])
    again = battles.step(np.full((3, 3), STOP))  # without a game the battle does not change
    assert not battles.failed.any()
    units = battles.reset(np.array([lost]), [parse_task("3m")], [9])
    assert units.step[lost] == 0
    assert units.alive[lost].sum() == 6
    assert again.step[~np.isin(np.arange(3), lost)].tolist() == [2, 2]
    assert battles.num_game_restarts == 1


def test_pettingzoos_own_test_passes(installation: Path) -> None:
    environment = parallel_env("2s1md1M", "sc2", step_mul=16)
    parallel_api_test(environment, num_cycles=60)
    environment.close()


def test_agents_are_truncated_when_their_game_fails(installation: Path) -> None:
    environment = parallel_env("3m", "sc2", request_time_limit_s=5.0)
    environment.reset(seed=1)
    provoke(installation, "crash")
    *_, terminations, truncations, infos = environment.step(dict.fromkeys(environment.agents, STOP))
    assert set(truncations.values()) == {True}
    assert set(terminations.values()) == {False}
    assert not environment.agents
    assert {info["won"] for info in infos.values()} == {False}
    environment.reset(seed=2)
    assert len(environment.agents) == 3
    environment.close()


def test_a_game_that_fails_at_its_start_is_started_again(
    make: MakeBattles, installation: Path
) -> None:
    provoke(installation, "exit")
    battles = make("3m", 2)
    units = battles.reset(np.arange(2), [parse_task("3m")] * 2, [0, 1])
    assert units.alive.sum() == 12
    assert battles.num_game_restarts == 1


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        ("exit", ["exit status 1", "error while loading shared libraries", "by hand: "]),
        ("deaf", ["no websocket at ws://127.0.0.1:", "within 1 s", "raise env_config.start_time"]),
        ("other_build", ["SC2_x64 says that it is build 1"]),
        ("fail_spawn", ["5 of 6 units appeared within 1000 game loops"]),
    ],
)
def test_a_game_that_never_starts_is_one_clear_message(
    make: MakeBattles, installation: Path, fault: str, parts: list[str]
) -> None:
    provoke(installation, fault, always=True)
    battles = make("3m", start_time_limit_s=1.0 if fault == "deaf" else 60.0)
    if fault == "fail_spawn":  # no unit appears
        parts = ["0 of 6 units appeared within 1000 game loops"]
    with pytest.raises(InputError) as error:
        battles.reset(np.zeros(1, int), [parse_task("3m")], [0])
    message = str(error.value)
    assert "\n" not in message
    for part in ["StarCraft II does not start", *parts]:
        assert part in message


def test_a_game_may_take_its_time_to_start(make: MakeBattles, installation: Path) -> None:
    provoke(installation, "slow_start", 1.0)
    battles = make("1m")
    assert battles.reset(np.zeros(1, int), [parse_task("1m")], [0]).alive.sum() == 2
    assert battles.num_game_restarts == 0


def test_ten_games_start_at_the_same_moment(make: MakeBattles, installation: Path) -> None:
    sets = [make("3m", 5), make("3m", 5)]
    for battles in sets:
        units = battles.reset(np.arange(5), [parse_task("3m")] * 5, range(5))
        assert units.alive.sum() == 30
    games = [game for battles in sets for game in battles._games if game is not None]
    assert len({game._process.port for game in games}) == 10
    for battles in sets:
        for _ in range(3):
            units = battles.step(approach(units))
        assert not battles.failed.any()
        assert battles.num_game_restarts == 0
    assert len(processes_of(installation)) == 20  # ten games and their watchdogs


PLAYER = """
import signal, sys, time
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from rllib_ptm.envs.starcraft.backends import EnvSettings
settings = EnvSettings(tasks="3m", backend="sc2")
battles = settings.make_battles(2)
tasks = settings.parsed_tasks * 2
battles.reset(np.arange(2), tasks, [0, 1])
print("playing", flush=True)
while True:
    battles.step(np.ones((2, 3), int))
    {after_a_step}
"""


def start_player(after_a_step: str = "pass") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PLAYER.format(after_a_step=after_a_step)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "playing\n"
    return process


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL],
)
def test_nothing_is_left_of_a_player_that_was_ended(
    installation: Path, temp: Path, number: signal.Signals
) -> None:
    process = start_player()
    assert len(processes_of(installation)) == 4
    assert len(list(temp.glob("rllib_ptm_sc2_*"))) == 2
    process.send_signal(number)
    process.communicate(timeout=20)
    assert left_behind(installation, temp) == []


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("sys.exit(3)", marks=pytest.mark.slow),
        "raise RuntimeError",
        "del battles; break",
    ],
)
def test_nothing_is_left_of_a_player_that_forgot_to_close(
    installation: Path, temp: Path, end: str
) -> None:
    process = start_player(end)
    _, errors = process.communicate(timeout=20)
    assert left_behind(installation, temp) == []
    assert "Unclosed" not in errors  # the connections were closed


def test_the_game_ends_with_its_watchdog(installation: Path, temp: Path) -> None:
    """If the watchdog is killed, the game still ends. Only its folder remains."""
    process = start_player()
    ours = processes_of(installation)
    watchdogs = [p for p in ours if "watchdog.py" in Path(f"/proc/{p}/cmdline").read_text()]
    for pid in watchdogs:
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.communicate(timeout=20)
    deadline = time.monotonic() + 5
    while processes_of(installation) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(installation) == []
    for folder in temp.glob("rllib_ptm_sc2_*"):
        shutil.rmtree(folder)
