"""Ray's processes: who started them, what they hold, and how they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.job_config import JobConfig


def container_cpus() -> int:
    """The number of CPUs that ``ray.init()`` would count: a container's limit, if there is one."""
    from ray._private.utils import get_num_cpus

    return int(get_num_cpus())


def job_with_folders(folders: Sequence[str]) -> JobConfig:
    """A job whose processes have these folders on their import path."""
    from ray.job_config import JobConfig

    return JobConfig(_py_driver_sys_path=list(folders))


def actor_table() -> list[tuple[str, str]]:
    """The class and the job of each actor that is alive in the cluster."""
    from ray._private.state import actors

    alive = (actor for actor in actors().values() if actor["State"] == "ALIVE")
    return [(actor["ActorClassName"], actor["JobID"]) for actor in alive]


def starts_cluster() -> bool:
    """Whether this process has started the Ray cluster that it uses."""
    from ray._private import worker

    node = worker._global_node
    return node is not None and node.head


@contextmanager
def in_own_process_groups() -> Iterator[None]:
    """Gives the processes that Ray starts in this block process groups of their own.

    A signal to this program's group, as from ``timeout`` or a cluster's manager, then reaches this
    program alone, which still needs them to save a checkpoint. On Linux the kernel ends them with
    this program; elsewhere Ray needs the common group for that.

    If the block fails, what it has started is ended. Ray itself leaves it to run beside a second
    attempt.
    """
    from ray._private import services

    start, started = services.ConsolePopen, list[Any]()
    group = {"process_group": 0} if sys.platform.startswith("linux") else {}

    def start_apart(*arguments: Any, **options: Any) -> Any:
        started.append(start(*arguments, **options, **group))
        return started[-1]

    services.ConsolePopen = start_apart
    try:
        yield
    except BaseException:
        for process in started:
            process.kill()
        raise
    finally:
        services.ConsolePopen = start


def ended_ray_processes() -> dict[str, int]:
    """The processes of this program's own cluster that have ended, with their exit codes."""
    from ray._private import worker

    node = worker._global_node
    if node is None or not node.head:
        return {}
    return {name: process.returncode for name, process in node.dead_processes()}


def check_ray_head(address: str) -> None:
    """Raises an error of Ray's if a gRPC server is not the head of a cluster.

    Args:
        address: ``HOST:PORT``, where a gRPC server answers.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # it is not in Python

    GcsClient(address=address)


def uses_tls() -> bool:
    """Whether Ray encrypts its connections."""
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")


def default_ray_folder() -> str:
    """The folder in which Ray makes a folder for each session."""
    from ray._common.utils import get_default_ray_temp_dir

    return get_default_ray_temp_dir()
