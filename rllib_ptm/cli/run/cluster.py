"""A quiet Ray cluster of the size that the trials need."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from rllib_ptm.cli.read.options import TrainOptions
from rllib_ptm.envs.errors import InputError
from rllib_ptm.process import IMPORT_FOLDERS, set_environment_variables
from rllib_ptm.ray_private import container_cpus, job_with_folders

if TYPE_CHECKING:
    from ray.tune import PlacementGroupFactory

# Ray reads these when it is imported. A value that the user has set stays.
_RAY_VARIABLES: Mapping[str, str] = {
    "RAY_AUTH_MODE": "disabled",  # a token in the home folder protects nothing on a local cluster
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's default is 15. Then torch's threads get no core beside any other program, and each
    # thread waits for the others.
    "RAY_worker_niceness": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths start at the user's working directory
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # without it, Ray prints a warning on its future
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer output prints boxes at any verbosity
    # A scheduler may compare evaluations, which only some iterations report: Tune would end the
    # run there. The experiment's check makes sure that the key exists.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}
_MOST_THREADS = 8  # networks as small as these keep no more threads busy


def import_ray(verbose: int = 0, *, joins_cluster: bool = False) -> None:
    """Imports Ray so that it prints no more than was asked for.

    Args:
        verbose: 0 = nothing, 1 = information, 2 = everything.
        joins_cluster: The cluster runs already, so the user's own token is needed.
    """
    for name, value in _RAY_VARIABLES.items():
        if name != "RAY_AUTH_MODE" or not joins_cluster:
            os.environ.setdefault(name, value)
    import ray.rllib
    import ray.tune  # noqa: F401

    for logger in ("ray", "ray.tune", "ray.rllib"):  # importing Ray has set these up
        logging.getLogger(logger).setLevel(_log_level(verbose))


def _log_level(verbose: int) -> int:
    return (logging.CRITICAL, logging.INFO, logging.DEBUG)[min(verbose, 2)]


def machine_cores() -> int:
    """The cores that this process may use: those of a container or of ``taskset``, if fewer."""
    cores = container_cpus()
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return max(1, cores)


def main_process_cores(configs: list[dict[str, Any]], cores: int, trials: int = 1) -> int:
    """The ``num_cpus_for_main_process`` that gives torch the cores the other processes leave.

    Under Tune, torch runs as many threads as its process has cores, which is one unless RLlib is
    told otherwise. One core stays free if there are more than two: a thread that has to wait for
    a core delays all others.

    Args:
        configs: The config of each trial.
        cores: The cores of all trials.
        trials: How many trials run at once.
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
    """The resources of the largest trial, for example ``{"CPU": 4, "GPU": 1}``."""
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
    options: TrainOptions, needed: Mapping[str, float], cores: int, trials: int = 1
) -> Iterator[None]:
    """Starts or joins a cluster for the time of the block.

    Args:
        options: The address of a running cluster, or the size of one to start.
        needed: The resources of the largest trial.
        cores: The cores of all trials. A started cluster claims at least what the trials need:
            more processes than cores are slow, but a trial that never starts is worse.
        trials: How many trials have to run at once.

    Raises:
        InputError: The cluster cannot be reached, or is too small for a trial.
    """
    import ray

    address = options.ray_address
    start: dict[str, Any] = {"num_cpus": None, "num_gpus": None}
    if address is not None:
        _check_reachable(address)
        start["runtime_env"] = {"env_vars": set_environment_variables()}
    else:
        claimed = max(cores, trials * int(needed.get("CPU", 1)))
        gpus = options.ray_num_gpus
        start = {"num_cpus": claimed, "num_gpus": gpus, "include_dashboard": False}
    try:
        ray.init(
            address=address or "local",
            log_to_driver=options.verbose > 0,
            logging_level=_log_level(options.verbose),
            job_config=job_with_folders(IMPORT_FOLDERS),
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
    """Checks that the address answers. Ray itself would try for many minutes."""
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
