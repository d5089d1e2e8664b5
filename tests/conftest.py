"""A small policy on small battles, built without a Ray cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rllib_ptm.process import set_environment_variables

set_environment_variables()  # as the command does, before torch and JAX are loaded
# Test files run side by side, one on each core: with threads of their own they hinder each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import ray  # noqa: E402
from small_networks import SMALL  # noqa: E402

from rllib_ptm.algorithm import PTMConfig  # noqa: E402
from rllib_ptm.play.env_runner import TeamEnvRunner  # noqa: E402
from rllib_ptm.replay.episodes import TeamEpisode  # noqa: E402

# An example that takes long on a busy machine is no failure.
hypothesis.settings.register_profile("no_deadline", deadline=None)
hypothesis.settings.load_profile("no_deadline")

TASKS = ["2m_vs_2m", "3m_vs_3m", "2m_vs_3m"]


def small_config(seed: int = 3, **training: object) -> PTMConfig:
    return (
        PTMConfig()
        .environment(env_config={"tasks": TASKS, "time_limit_steps": 30})
        .training(**{**SMALL, **training})
        .env_runners(num_envs_per_env_runner=8)
        .reporting(min_sample_timesteps_per_iteration=100)
        .debugging(seed=seed, log_level="ERROR")
    )


def wait_until(happened: Callable[[], bool], seconds: float) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.1)


@pytest.fixture
def make_config() -> Callable[..., PTMConfig]:
    return small_config


@pytest.fixture
def make_runner(make_config: Callable[..., PTMConfig]) -> Callable[..., TeamEnvRunner]:
    def make(config: PTMConfig | None = None, worker_index: int = 0) -> TeamEnvRunner:
        return TeamEnvRunner(
            config=config or make_config(), worker_index=worker_index, num_workers=0
        )

    return make


@pytest.fixture
def episodes(make_runner: Callable[..., TeamEnvRunner]) -> list[TeamEpisode]:
    """At least 20 episodes of random play."""
    return make_runner().sample(num_episodes=20, epsilon=1.0)


CLUSTER_CORES = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray cluster of this machine, with 4 cores; the test files that need one share it.

    Starting Ray takes seconds. What a file has left running is ended with the cluster, so that the
    next file gets one where nothing runs.
    """
    if not ray.is_initialized():
        start_cluster()
    yield
    if not _is_idle():
        ray.shutdown()


@pytest.fixture(scope="module", autouse=True)
def _no_cluster_where_none_is_used(request: pytest.FixtureRequest) -> None:
    """Ends the cluster before a file that does not ask for it, or tests the command.

    The command starts Ray itself, or must not start it. And a process that forks while it is
    connected may wait without end when it disconnects.
    """
    if request.path not in files_on_the_cluster(request.session.items):
        ray.shutdown()


@pytest.hookimpl(trylast=True)  # when the slow tests are out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that share the cluster first: it starts once in a process of tests."""
    first = files_on_the_cluster(items)
    items.sort(key=lambda item: item.path not in first)


def files_on_the_cluster(items: list[pytest.Item]) -> set[Path]:
    """The files that use the cluster, without those that test the command."""
    users = {item.path for item in items if "cluster" in getattr(item, "fixturenames", ())}
    return {path for path in users if "cli" not in path.parts}


def start_cluster() -> None:
    """Starts a cluster for the tests of this process."""
    ray.init(
        address="local",  # and not one that happens to run on this machine
        num_cpus=CLUSTER_CORES,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
    )


def _is_idle() -> bool:
    """Whether all cores of the cluster are free, or become so within a few seconds."""
    deadline = time.monotonic() + 5
    while ray.available_resources().get("CPU") != CLUSTER_CORES:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def pytest_sessionfinish() -> None:
    ray.shutdown()
