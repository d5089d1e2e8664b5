"""A resumed run does what the run would have done that was not interrupted, bit for bit."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from conftest import wait_until
from tracing import arrays_of, assert_same, changing, trace

from rllib_ptm import PTM, PTMConfig
from rllib_ptm.play.env_runner import RNG, SETTINGS, TeamEnvRunner
from rllib_ptm.replay.episodes import to_arrays
from rllib_ptm.replay.replay_buffer import ReplayBuffer

MakeConfig = Callable[..., PTMConfig]
MakeRunner = Callable[..., TeamEnvRunner]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("before", "after", "play_ahead"),
    [
        (0, 0, False),
        (0, 1, False),
        *(
            pytest.param(n, n, ahead, marks=pytest.mark.slow)
            for n, ahead in [(1, False), (2, False), (2, True)]
        ),
    ],
)
def test_a_resumed_run_equals_one_that_was_not_interrupted(
    make_config: MakeConfig, tmp_path: pathlib.Path, before: int, after: int, play_ahead: bool
) -> None:
    """Also where one remote env runner takes the place of the local one."""
    algorithm = changing(make_config(play_ahead=play_ahead), before).build_algo()
    trace(algorithm, 2)
    algorithm.save_to_path(tmp_path)
    expected, expected_arrays = trace(algorithm, 2), arrays_of(algorithm)
    algorithm.stop()
    resumed = changing(make_config(play_ahead=play_ahead), after).build_algo()
    resumed.restore_from_path(tmp_path)
    assert trace(resumed, 2) == expected
    assert_same(arrays_of(resumed), expected_arrays)
    resumed.stop()


@pytest.mark.usefixtures("cluster")
def test_a_run_on_a_family_resumes(make_config: MakeConfig, tmp_path: pathlib.Path) -> None:
    config = changing(make_config(mining_episodes=2)).environment(  # drawn by the saved generator
        env_config={"tasks": ["2-3sz", "2m_vs_3m"], "time_limit_steps": 30}
    )
    algorithm = config.build_algo()
    trace(algorithm, 1)
    algorithm.save_to_path(tmp_path)
    expected, expected_arrays = trace(algorithm, 1), arrays_of(algorithm)
    algorithm.stop()
    resumed = PTM.from_checkpoint(tmp_path)
    assert trace(resumed, 1) == expected
    assert_same(arrays_of(resumed), expected_arrays)
    resumed.stop()
    assert set(expected[0]["priorities"]) == {"2-3sz", "2m_vs_3m"}  # type: ignore[call-overload]


def test_a_runner_resumes_its_episodes_in_progress(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.sample(num_episodes=5, epsilon=0.5)
    state, weights = runner.get_episodes_in_progress(), runner.get_state()
    expected = runner.sample(num_episodes=20, epsilon=0.5)
    other = make_runner()
    other.set_state(weights)
    assert other.set_episodes_in_progress(state) is None
    assert_same(to_arrays(expected), to_arrays(other.sample(num_episodes=20, epsilon=0.5)))


def test_new_episodes_start_if_the_saved_ones_do_not_fit(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    runner = make_runner()
    runner.sample(num_episodes=1, epsilon=1.0)
    fewer = make_runner(make_config().env_runners(num_envs_per_env_runner=4))
    refusal = fewer.set_episodes_in_progress(runner.get_episodes_in_progress())
    assert refusal is not None
    assert '"side_by_side": 8' in refusal
    assert '"side_by_side": 4' in refusal
    assert len(fewer.sample(num_episodes=3, epsilon=1.0)) >= 3


def test_new_episodes_start_if_an_older_version_saved_them(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner.sample(num_episodes=1)
    state = runner.get_episodes_in_progress()
    settings = json.loads(state[SETTINGS].item())
    del settings["exploration"]  # an older version neither named it nor saved these arrays
    older = {k: v for k, v in state.items() if not k.startswith("exploration.")}
    refusal = make_runner().set_episodes_in_progress(
        older | {SETTINGS: np.array(json.dumps(settings))}
    )
    assert refusal is not None
    assert "exploration" in refusal


def test_new_episodes_start_if_the_backend_cannot_save_them(
    make_runner: MakeRunner,
) -> None:
    runner = make_runner()
    runner.sample(num_episodes=1, epsilon=1.0)
    state = {k: v for k, v in runner.get_episodes_in_progress().items() if k in (RNG, SETTINGS)}
    refusal = make_runner().set_episodes_in_progress(state)
    assert refusal == "environment 'multi_task_sc2' cannot save episodes in progress"


def test_a_reseeded_runner_plays_other_battles(make_runner: MakeRunner) -> None:
    one, other = make_runner(), make_runner()
    other.reseed(100)
    returns = [
        [e.episode_return for e in runner.sample(num_episodes=6, epsilon=1.0)]
        for runner in (one, other)
    ]
    assert returns[0] != returns[1]


def test_a_restored_buffer_draws_the_same_episodes(
    make_runner: MakeRunner, tmp_path: pathlib.Path
) -> None:
    episodes = make_runner().sample(num_episodes=12, epsilon=1.0)
    buffer, restored = ReplayBuffer(7), ReplayBuffer(7)
    buffer.add(episodes)  # it is full and has wrapped
    buffer.save_to_path(tmp_path)
    restored.restore_from_path(tmp_path)
    for more in ([], episodes[:3]):
        buffer.add(more)
        restored.add(more)
        drawn = [b.sample(5, np.random.default_rng(1)) for b in (buffer, restored)]
        assert_same(to_arrays(drawn[0]), to_arrays(drawn[1]))


# One run on a cluster of its own, as a user would start it; see the test below.
RUN = """
import json, os, pathlib, signal, sys
import numpy as np, ray
root = sys.argv[1]
sys.path[:0] = [root, root + "/tests", root + "/tests/cases"]
from conftest import small_config
from conftest import wait_until
from tracing import arrays_of, changing, trace
from rllib_ptm.replay.replay_buffer import ReplayBuffer

_, _, role, folder, num_env_runners, play_ahead = sys.argv
config = small_config(play_ahead=play_ahead == "True")
folder = pathlib.Path(folder)
ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR")
algorithm = changing(config, int(num_env_runners)).build_algo()
if role == "whole":
    trace(algorithm, 2)
if role.startswith("killed"):
    trace(algorithm, 2)
    algorithm.save_to_path(folder / "checkpoint")
    trace(algorithm, 1)
    if role == "killed while saving":
        ReplayBuffer.save_to_path = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        algorithm.save_to_path(folder / "checkpoint")
    (folder / "trains").touch()
    trace(algorithm, 1000)
if role == "resumed":
    algorithm.restore_from_path(folder / "checkpoint")
reports = trace(algorithm, 2)
np.savez(folder / f"{role}.npz", **arrays_of(algorithm))
(folder / f"{role}.json").write_text(json.dumps(reports, default=float, sort_keys=True))
algorithm.stop()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("death", "num_env_runners", "play_ahead"),
    [
        ("killed while saving", 0, False),
        ("killed while training", 1, False),
        ("killed while training", 1, True),
    ],
)
def test_a_killed_run_resumes_as_if_it_had_continued(
    tmp_path: pathlib.Path, death: str, num_env_runners: int, play_ahead: bool
) -> None:
    """Processes of their own, and kill -9: nothing can be handed over but the checkpoint."""

    def start(role: str) -> subprocess.Popen[bytes]:
        root = str(pathlib.Path(__file__).parents[2])
        arguments = [root, role, str(tmp_path), str(num_env_runners), str(play_ahead)]
        return subprocess.Popen([sys.executable, "-c", RUN, *arguments], start_new_session=True)

    assert start("whole").wait(timeout=300) == 0
    killed = start(death)
    if death == "killed while training":
        wait_until((tmp_path / "trains").exists, seconds=300)
        killed.kill()
    assert killed.wait(timeout=300) == -signal.SIGKILL
    assert start("resumed").wait(timeout=300) == 0
    reports = [(tmp_path / f"{role}.json").read_text() for role in ("whole", "resumed")]
    assert reports[0] == reports[1]
    whole, resumed = (dict(np.load(tmp_path / f"{role}.npz")) for role in ("whole", "resumed"))
    assert_same(whole, resumed)
