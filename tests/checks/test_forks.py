"""A forked child of a process that plays says so, and does not hang."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import pytest
from conftest import small_config

from rllib_ptm.checks import forks
from rllib_ptm.checks.forks import ForkError, refuse_forked_child
from rllib_ptm.envs import parallel_env
from rllib_ptm.play.env_runner import TeamEnvRunner

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")


def in_forked_child(function: Callable[[], Any]) -> str:
    """The error of a function in a forked child; it must come at once."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        try:
            function()
            sender.send("no error")
        except ForkError as error:
            sender.send(str(error))

    child = context.Process(target=run, daemon=True)
    child.start()
    try:
        assert receiver.poll(timeout=20), "it hangs"
        return receiver.recv()
    finally:
        child.kill()
        child.join()


@pytest.fixture
def env() -> Any:
    env = parallel_env("2m_vs_2m")
    env.reset(seed=0)
    return env


@pytest.mark.parametrize("way", ["parallel_env", "reset", "env runner", "algorithm"])
def test_each_way_in_says_that_a_fork_cannot_play(way: str, env: Any) -> None:
    ways: dict[str, Callable[[], Any]] = {
        "parallel_env": lambda: parallel_env("2m_vs_2m"),
        "reset": env.reset,
        "env runner": lambda: TeamEnvRunner(config=small_config(), worker_index=0, num_workers=0),
        "algorithm": lambda: small_config().build_algo(),
    }
    line = in_forked_child(ways[way])
    assert "was forked from process" in line
    assert "get_context('spawn')" in line
    assert "\n" not in line


def test_a_fork_of_a_process_that_has_not_played_may_play(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_users", [])
    assert in_forked_child(refuse_forked_child) == "no error"
    refuse_forked_child()
    refuse_forked_child()
    assert "was forked" in in_forked_child(refuse_forked_child)
