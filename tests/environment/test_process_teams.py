"""Environments in other processes play the same episodes, and leave nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_env import OddEnv

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.contract import PlayOptions, Resumable, Step, Teams
from rllib_ptm.environment.pettingzoo_game import PettingZooGame
from rllib_ptm.environment.pettingzoo_teams import BrokenContractError
from rllib_ptm.environment.process_teams import ProcessTeams

TASKS = ["relay", "long", "solo", "pair", "long"]
PLACES = np.arange(len(TASKS))
RAISES, DIES, HANGS, BREAKS = 1001, 1002, 1003, 1004  # seeds
DEADLINE_S = 30.0
OPTIONS = PlayOptions(processes=2, timeout_s=DEADLINE_S)


class Fragile(OddEnv):
    """Fails in its second step, in the way that the seed says."""

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        self._seed = seed
        return super().reset(seed, options)

    def step(self, actions: Mapping[str, int]) -> tuple[dict, dict, dict, dict, dict]:
        result = super().step(actions)
        if self._step == 2:
            if self._seed == RAISES:
                raise ZeroDivisionError("the simulator diverges")
            if self._seed == DIES:
                os._exit(3)
            if self._seed == HANGS:
                time.sleep(3600)
            if self._seed == BREAKS:
                return {"joker": {}}, *result[1:]
        return result

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        super().set_state(state)
        self._seed = None


def game() -> PettingZooGame:
    return PettingZooGame("odd", lambda config: Fragile(**config), {})


@pytest.fixture(scope="module")
def teams() -> Iterator[ProcessTeams]:
    made = game().make(len(TASKS), OPTIONS)
    assert isinstance(made, ProcessTeams)
    yield made
    made.close()


def play(teams: Teams, record: Any, steps: int, seed: int = 0) -> list[Step]:
    odd, rng, played = game(), np.random.default_rng(seed), []
    for _ in range(steps):
        mask = odd.view(record).action_mask
        played.append(teams.step((rng.random(mask.shape) * mask).argmax(-1)))
        record = played[-1].record
    return played


def assert_equal(one: list[Step], other: list[Step]) -> None:
    for mine, yours in zip(one, other, strict=True):
        for name in ("reward", "terminated", "truncated", "success", "failed"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(yours, name))
            assert getattr(mine, name).dtype == getattr(yours, name).dtype
        for name, array in mine.record.items():
            np.testing.assert_array_equal(array, yours.record[name])
            assert array.dtype == yours.record[name].dtype


def test_they_play_the_same_episodes(teams: ProcessTeams) -> None:
    here = game().make(len(TASKS))
    seeds = [1, 2, RAISES, 4, 2**62]  # a failed step is the same, too
    records = [each.reset(PLACES, TASKS, seeds) for each in (here, teams)]
    assert_equal(play(here, records[0], 41), play(teams, records[1], 41))
    some = np.array([3, 0])
    records = [each.reset(some, ["relay", "pair"], [7, 8]) for each in (here, teams)]
    assert_equal(play(here, records[0], 9), play(teams, records[1], 9))


def test_saved_episodes_continue_in_either_way(teams: ProcessTeams) -> None:
    here = game().make(len(TASKS))
    assert isinstance(here, Resumable)
    assert isinstance(teams, Resumable)
    played = play(teams, teams.reset(PLACES, TASKS, range(5)), 4)
    state = teams.get_state()
    there = play(teams, played[-1].record, 36, seed=3)
    assert_equal(there, play(here, here.set_state(state), 36, seed=3))
    assert_equal(there, play(teams, teams.set_state(state), 36, seed=3))
    teams.set_state(state)
    here.set_state(state)
    saved = here.get_state()
    assert saved.keys() == state.keys()
    for name, array in teams.get_state().items():
        np.testing.assert_array_equal(array, saved[name])


def test_failures_are_told_to_this_process(
    teams: ProcessTeams, caplog: pytest.LogCaptureFixture
) -> None:
    before = teams.num_restarts
    steps = play(teams, teams.reset(PLACES, TASKS, [1, 2, 3, 4, RAISES]), 2)
    assert steps[1].failed.tolist() == [False] * 4 + [True]
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"environment 'odd', task 'long', step 2, seed {RAISES}: ZeroDivisionError: the simulator "
        f"diverges; a new environment replaces it (test_process_teams.py, line "
    )
    assert teams.num_restarts == before + 1
    assert isinstance(teams.last_error, ZeroDivisionError)


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        (DIES, "WorkerError: its process has died (exit code 3)"),
        (HANGS, "WorkerError: its process does not answer within 1 s; see config.env_timeout_s"),
    ],
)
def test_a_process_that_dies_or_hangs_is_started_anew(
    teams: ProcessTeams, seed: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = teams.num_restarts
    steps = play(teams, teams.reset(PLACES, TASKS, [1, 2, 3, 4, seed]), 1)
    teams._timeout_s = 1.0
    failed = play(teams, steps[0].record, 1)[0]
    teams._timeout_s = DEADLINE_S
    first = teams._jobs[1].first  # of the places in the same process
    assert failed.failed.tolist() == [place >= first for place in PLACES]
    assert failed.terminated.tolist() == [False] * len(TASKS)
    for name, array in steps[0].record.items():
        np.testing.assert_array_equal(array[first:], failed.record[name][first:])
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"environment 'odd', task {TASKS[place]!r}, step 2, seed {[1, 2, 3, 4, seed][place]}: "
        f"{said}; a new environment replaces it"
        for place in range(first, len(TASKS))
    ]
    assert teams.num_restarts == before + len(lines)
    here = game().make(len(TASKS))
    records = [each.reset(PLACES, TASKS, range(5)) for each in (here, teams)]
    assert_equal(play(here, records[0], 3), play(teams, records[1], 3))


def test_a_process_that_dies_between_steps(teams: ProcessTeams) -> None:
    record = teams.reset(PLACES, TASKS, range(5))
    worker = teams._workers[0]
    assert worker is not None
    worker.process.kill()
    step = play(teams, record, 1)[0]
    assert step.failed.tolist() == [place < teams._jobs[0].end for place in PLACES]
    assert "signal 9" in str(teams.last_error)
    assert isinstance(teams, Resumable)
    state = teams.get_state()  # it is started for this
    assert state["playing"].tolist() == [not failed for failed in step.failed]


def test_what_breaks_the_contract_ends_the_run(teams: ProcessTeams) -> None:
    record = teams.reset(np.array([0]), ["solo"], [BREAKS])
    with pytest.raises(BrokenContractError, match=r"task 'solo', step 2.* 'joker': it is not in"):
        play(teams, record, 2)


def test_a_creator_that_fails_elsewhere_is_one_line() -> None:
    odd, here = game(), os.getpid()

    def creator(config: dict) -> OddEnv:
        if os.getpid() != here:
            raise ValueError("no licence")
        return OddEnv()

    odd._creator = creator
    with pytest.raises(InputError, match=r"^environment 'odd' cannot be made: no licence$"):
        odd.make(2, OPTIONS)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_nothing_is_left_behind() -> None:
    for ends in ("close", "garbage collection"):
        made = game().make(2, OPTIONS)
        assert isinstance(made, ProcessTeams)
        pids = [worker.process.pid for worker in made._workers if worker]
        assert all(map(is_running, pids))
        files = len(os.listdir("/proc/self/fd"))
        if ends == "close":
            made.close()
            made.close()  # a second call does nothing
        else:
            del made
            gc.collect()
        assert not any(map(is_running, pids))
        # Two pipes for each process, and the shared memory.
        assert len(os.listdir("/proc/self/fd")) < files - 4


PARENT = """
import sys
import numpy as np
from test_process_teams import OPTIONS, game
if __name__ == "__main__":
    teams = game().make(2, OPTIONS)
    teams.reset(np.arange(2), ["long", "long"], [1, int(sys.argv[1])])
    print(*[worker.process.pid for worker in teams._workers], flush=True)
    while True:
        teams.step(np.ones((2, 3), int))
"""


@pytest.mark.parametrize("seed", [2, pytest.param(HANGS, marks=pytest.mark.slow)])
def test_no_process_outlives_its_parent(seed: int) -> None:
    paths = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", PARENT, str(seed)]
    environment = {**os.environ, "PYTHONPATH": paths}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        time.sleep(0.2)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + DEADLINE_S
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, pids
        time.sleep(0.05)
