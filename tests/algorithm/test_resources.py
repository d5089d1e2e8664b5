"""An algorithm that asks for more than a cluster has, or than is free."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
from conftest import small_config, wait_until
from ray import cloudpickle

from rllib_ptm import InputError, PTMConfig, resources
from rllib_ptm.resources import ResourcesMissingError, await_resources

# Classes for other processes are pickled by value: these cannot import this file.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

pytestmark = pytest.mark.usefixtures("cluster")  # it has 4 cores


class Holder:
    """Holds cores."""

    def ready(self) -> None: ...


@pytest.fixture
def hold() -> Iterator[Callable[[int], Any]]:
    held = []

    def take(cores: int) -> Any:
        held.append(ray.remote(num_cpus=cores)(Holder).remote())
        ray.get(held[-1].ready.remote())
        wait_until(lambda: ray.available_resources().get("CPU", 0) <= 4 - cores, seconds=30)
        return held[-1]

    yield take
    for holder in held:
        ray.kill(holder)
    wait_until(lambda: ray.available_resources().get("CPU", 0) == 4, seconds=30)


@pytest.mark.parametrize(
    ("method", "keys", "line"),
    [
        (
            "learners",
            {"num_learners": 1, "num_gpus_per_learner": 1},
            "config.num_gpus_per_learner: asks for 1 GPU, no node of the Ray cluster has more "
            "than 0",
        ),
        (
            "learners",
            {"num_gpus_per_learner": 1},
            "config.num_gpus_per_learner: asks for 1 GPU, number 0 (local_gpu_idx), torch finds 0",
        ),
        (
            "env_runners",
            {"num_env_runners": 2, "custom_resources_per_env_runner": {"battles": 2}},
            "config.custom_resources_per_env_runner: asks for 2 battles, no node of the Ray "
            "cluster has more than 0",
        ),
        (
            "env_runners",
            {"num_env_runners": 1, "num_cpus_per_env_runner": 64},
            "config.num_cpus_per_env_runner: asks for 64 CPU, no node of the Ray cluster has more "
            "than 4",
        ),
        (
            "env_runners",
            {"num_env_runners": 9},
            "config.num_env_runners: the processes need 9 CPU, the Ray cluster has 4; fewer can "
            "be set, also for a checkpoint: from_checkpoint(path, config=...)",
        ),
        (
            "evaluation",
            {"evaluation_num_env_runners": 5, "evaluation_interval": 1},
            "config.evaluation_num_env_runners: the processes need 5 CPU, the Ray cluster has 4",
        ),
    ],
)
def test_what_the_cluster_never_has_is_one_line_at_once(
    method: str, keys: dict[str, Any], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    config: PTMConfig = getattr(small_config(), method)(**keys)
    start = time.monotonic()
    with pytest.raises(InputError) as error:
        config.build_algo()
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)
    assert time.monotonic() - start < 5


def test_cores_that_are_free_are_not_waited_for() -> None:
    await_resources(small_config().env_runners(num_env_runners=4), limit_s=0.0)


def test_cores_that_another_holds_are_waited_for_and_it_is_named(
    hold: Callable[[int], Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_SECONDS_OF_SILENCE", 0.5)
    holder = hold(3)
    config = small_config().env_runners(num_env_runners=2)
    waiter = threading.Thread(target=await_resources, args=(config, 60.0))
    waiter.start()
    wait_until(lambda: bool(caplog.records), seconds=10)
    (record,) = caplog.records
    assert "needs 2 CPU (1 of 4 free)" in record.getMessage().replace("need ", "needs ")
    assert "held by 1 Holder of this program" in record.getMessage()
    assert "config.num_env_runners" in record.getMessage()
    assert waiter.is_alive()
    ray.kill(holder)
    waiter.join(timeout=30)
    assert not waiter.is_alive()


def test_the_wait_has_a_limit(hold: Callable[[int], Any]) -> None:
    hold(4)
    with pytest.raises(ResourcesMissingError, match=r"timeout_s = 0\.5 s: its processes need"):
        await_resources(small_config().env_runners(num_env_runners=1), limit_s=0.5)


def test_what_may_join_a_cluster_of_others_is_waited_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "starts_cluster", lambda: False)
    monkeypatch.setattr(resources, "_SECONDS_OF_SILENCE", 0.2)
    config = small_config().learners(num_learners=1, num_gpus_per_learner=1)
    with pytest.raises(ResourcesMissingError, match="num_gpus_per_learner: asks for 1 GPU"):
        await_resources(config, limit_s=0.5)
    assert "PTM waits up to sample_timeout_s = 0.5 s: config.num_gpus_per_learner" in caplog.text
