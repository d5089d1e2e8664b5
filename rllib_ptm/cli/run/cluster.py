"""A quiet Ray cluster of the size that the trials need."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from envs.errors import InputError
from rllib_ptm.cli.read.options import ClusterOptions
from rllib_ptm.ray_private import container_cpus

if TYPE_CHECKING:
    from ray.tune import PlacementGroupFactory

# Ray reads these as it is imported. Whoever has set one keeps it.
_ENVIRONMENT: Mapping[str, str] = {
    "RAY_AUTH_MODE": "disabled",  # a token in the home folder protects nothing on a local cluster
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's is 15: torch's threads then starve, and wait for one another, beside any other program.
    "RAY_worker_niceness": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean what they mean where the user stands
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # without it, Ray warns about its own future
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer output prints boxes at any verbosity
    # Tune would end a run whose scheduler compares evaluations, which not every iteration has.
    # That the key comes at all is checked before.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}


# Networks as small as these keep no more threads busy.
_MOST_THREADS = 8


def quieten_ray(options: ClusterOptions) -> None:
    """Imports Ray, and keeps it from saying more than the verbosity asks for."""
    for name, value in _ENVIRONMENT.items():
        if name != "RAY_AUTH_MODE" or options.address is None:
            os.environ.setdefault(name, value)
    import ray.rllib
    import ray.tune  # noqa: F401

    # Only now: importing Ray sets its loggers up.
    for logger in ("ray", "ray.tune", "ray.rllib"):
        logging.getLogger(logger).setLevel(options.log_level)


def machine_cores() -> int:
    """The cores that this process may use: those of a container or of ``taskset``, if fewer."""
    cores = container_cpus()
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return max(1, cores)


def share_out_cores(configs: list[dict[str, Any]], cores: int, trials: int = 1) -> int:
    """The ``num_cpus_for_main_process`` that gives torch the cores the other processes leave.

    Under Tune torch runs on as many threads as its process has cores, which is one unless
    RLlib is told otherwise. One core stays free where there are more than two: a thread that
    has to wait for a core holds up all others.

    Args:
        configs: The config of each trial.
        cores: What there is to share.
        trials: How many trials share it at a time.
    """
    others = 0.0
    for config in configs:
        request = _request(config)
        main_process = request.bundles[0].get("CPU", 0)
        others = max(others, request.required_resources.get("CPU", 0) - main_process)
    if trials > 1:
        return min(_MOST_THREADS, max(1, cores // trials - int(others)))
    return min(_MOST_THREADS, max(2, cores - int(others) - 1))


def needed_resources(configs: list[dict[str, Any]]) -> dict[str, float]:
    """What the largest trial takes, for example ``{"CPU": 4, "GPU": 1}``."""
    needed: dict[str, float] = {}
    for config in configs:
        for kind, amount in _request(config).required_resources.items():
            needed[kind] = max(needed.get(kind, 0), amount)
    return needed


def _request(config: dict[str, Any]) -> PlacementGroupFactory:
    from rllib_ptm import PTM

    return cast("PlacementGroupFactory", PTM.default_resource_request(config))


@contextmanager
def ray_cluster(
    options: ClusterOptions, needed: Mapping[str, float], cores: int, trials: int = 1
) -> Iterator[None]:
    """Starts or joins a cluster for as long as the block runs.

    Args:
        options: How to reach or start it.
        needed: What the largest trial takes.
        cores: What the trials may take together. A started cluster claims at least what they need:
            more processes than cores are slow, but a trial that never starts is worse.
        trials: How many have to run at a time.

    Raises:
        InputError: The cluster cannot be reached, or is too small for a trial.
    """
    import ray

    start: dict[str, Any] = {"num_cpus": None, "num_gpus": None}
    if options.address is not None:
        _check_reachable(options.address)
    else:
        claimed = max(cores, trials * int(needed.get("CPU", 1)))
        start = {"num_cpus": claimed, "num_gpus": options.num_gpus, "include_dashboard": False}
    try:
        ray.init(
            address=options.address or "local",
            log_to_driver=options.verbosity > 0,
            logging_level=options.log_level,
            **start,
        )
    except ConnectionError as error:
        raise InputError(f"--ray-address: {' '.join(str(error).split())}") from None
    try:
        _check_size(ray.cluster_resources(), needed)
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Looks whether anything answers there; Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise InputError(f"--ray-address: expected HOST:PORT, found {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"--ray-address: nothing answers at {address!r}: {error}") from None


def _check_size(there: Mapping[str, float], needed: Mapping[str, float]) -> None:
    for kind, amount in needed.items():
        if amount > there.get(kind, 0):
            raise InputError(
                f"a trial needs {amount:g} {kind}, the Ray cluster has {there.get(kind, 0):g}; "
                f"see --ray-num-cpus and --ray-num-gpus, or config.num_cpus_for_main_process"
            )
