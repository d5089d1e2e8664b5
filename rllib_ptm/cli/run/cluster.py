"""A quiet Ray cluster of the size that the trials need."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.options.declared import TrainOptions
from rllib_ptm.cli.show.messages import print_errors, working
from rllib_ptm.process import IMPORT_FOLDERS, set_environment_variables
from rllib_ptm.ray_private.cluster import (
    check_ray_head,
    container_cpus,
    default_ray_folder,
    in_own_process_groups,
    job_with_folders,
    uses_tls,
)

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
# The longest path of a Unix socket, and the longest number of a process in Linux.
_LONGEST_SOCKET_PATH, _LARGEST_PID = 107, 2**22
_HANDSHAKE_S = 5.0
# HTTP/2's first words: its preface, and an empty frame of settings.
_SETTINGS_FRAME = b"\x04"
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + _SETTINGS_FRAME + bytes(5)
_TIMED_OUT = "timed out during startup"  # what Ray says if its processes need too long
_BUSY = "this machine is busy, try again when it is less so"
_LONGEST_REASON = 300
_ATTEMPTS = 3
_MOST_THREADS = 8  # networks as small as these keep no more threads busy


class RayStartError(Exception):
    """Ray does not start on this machine; the message is one line."""


def set_ray_variables(*, joins_cluster: bool = False) -> None:
    """Sets the variables that Ray reads when it is imported, be it by a file of the user's own.

    Args:
        joins_cluster: The cluster runs already, so the user's own token is needed.
    """
    for name, value in _RAY_VARIABLES.items():
        if name != "RAY_AUTH_MODE" or not joins_cluster:
            os.environ.setdefault(name, value)


def import_ray(verbose: int = 0, *, joins_cluster: bool = False) -> None:
    """Imports Ray so that it prints no more than was asked for.

    Args:
        verbose: 0 = nothing, 1 = information, 2 = everything.
        joins_cluster: The cluster runs already, so the user's own token is needed.
    """
    set_ray_variables(joins_cluster=joins_cluster)
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
        RayStartError: No cluster can be started on this machine now.
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
        start["_temp_dir"] = session_folder()
    start |= {
        "address": address or "local",
        "log_to_driver": options.verbose > 0,
        "logging_level": _log_level(options.verbose),
        "job_config": job_with_folders(IMPORT_FOLDERS),
    }
    try:
        with working(Console(), "Starting Ray"):
            _start(start)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_REASON]
        if address is not None:
            raise InputError(f"--ray-address: {address}: {reason}") from error
        busy = f": {_BUSY}" if _TIMED_OUT in reason else ""
        raise RayStartError(f"Ray cannot be started here{busy}: {reason}") from error
    try:
        _check_size(ray.cluster_resources(), needed)
        yield
    finally:
        ray.shutdown()


def _start(start: dict[str, Any]) -> None:
    """Starts Ray; again if its processes have needed too long, because the next start is faster.

    Ray gives them 15 and 30 seconds, which cannot be set. Its first start on a machine reads
    thousands of files, and Python compiles them.
    """
    import ray

    for left in reversed(range(_ATTEMPTS)):
        try:
            with in_own_process_groups():
                ray.init(**start)
            return
        except Exception as error:
            if not left or _TIMED_OUT not in str(error):
                raise
            print_errors(["Ray has not started in time; it is started again"])


def session_folder() -> str | None:
    """The folder for Ray's session; None if Ray's own choice is fine.

    A socket's path is limited to 107 bytes, so a long TMPDIR is no place for Ray.

    Raises:
        InputError: There is no folder that is short enough and can be written to.
    """
    default = Path(default_ray_folder())
    own = f"ray_{os.getuid()}"  # another user's may be in the way
    others = [Path("/tmp/ray"), Path("/tmp", own), Path("/var/tmp", own)]
    if _can_hold_session(default):
        return None
    for folder in others if "RAY_TMPDIR" not in os.environ else []:
        if _can_hold_session(folder):
            return str(folder)
    raise InputError(
        f"Ray cannot use {str(default)!r} for its session: expected a folder that can be written "
        f"to, with a path of at most {_longest_folder()} bytes (see RAY_TMPDIR and TMPDIR)"
    )


def _can_hold_session(folder: Path) -> bool:
    """Whether Ray can write there, and bind its sockets; makes nothing that stays."""
    if len(os.fsencode(folder)) > _longest_folder():
        return False
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        os.rmdir(tempfile.mkdtemp(dir=existing))
    except OSError:
        return False
    return True


def _longest_folder() -> int:
    """The longest path of a folder whose sockets' paths still fit."""
    session = f"session_{datetime.now():%Y-%m-%d_%H-%M-%S_%f}_{_LARGEST_PID}"
    return _LONGEST_SOCKET_PATH - len(f"/{session}/sockets/plasma_store")


def _check_reachable(address: str) -> None:
    """Checks that Ray answers at the address. Ray itself would try for minutes.

    Raises:
        InputError: Nothing answers, or something else than Ray does.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise InputError(f"--ray-address: expected HOST:PORT, found {address!r}")
    try:
        place = (host.strip("[]"), int(port))
        with socket.create_connection(place, timeout=_HANDSHAKE_S) as connection:
            if not uses_tls() and not _speaks_http2(connection):
                raise InputError(f"--ray-address: what answers at {address!r} is not Ray")
    except (OSError, OverflowError) as error:
        raise InputError(f"--ray-address: nothing answers at {address!r}: {error}") from None
    try:
        check_ray_head(address)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"--ray-address: what answers at {address!r} is not the head of a Ray cluster "
            f"({reason}); `ray start --head` prints the right address"
        ) from None


def _speaks_http2(connection: socket.socket) -> bool:
    """Whether the other side answers as a gRPC server does: with a frame of settings."""
    connection.settimeout(_HANDSHAKE_S)
    try:
        connection.sendall(_HTTP2_HELLO)
        reply = connection.recv(9)
    except OSError:  # no answer in time, or an end of the connection
        return False
    return reply[3:4] == _SETTINGS_FRAME


def _check_size(there: Mapping[str, float], needed: Mapping[str, float]) -> None:
    from rllib_ptm.resources import KEYS_OF  # imports Ray

    for kind, amount in needed.items():
        if amount > there.get(kind, 0):
            keys = KEYS_OF.get(kind, "config.custom_resources_per_...")
            raise InputError(
                f"a trial needs {amount:g} {kind} ({keys}), the Ray cluster has "
                f"{there.get(kind, 0):g}; see --ray-num-cpus and --ray-num-gpus"
            )
