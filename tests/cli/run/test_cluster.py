"""How the processes of a run share the cores of a machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._private import services

from rllib_ptm import InputError
from rllib_ptm.cli.main import main
from rllib_ptm.cli.options.declared import TrainOptions
from rllib_ptm.cli.run.cluster import (
    RayStartError,
    _check_size,
    machine_cores,
    main_process_cores,
    needed_resources,
    ray_cluster,
    session_folder,
)
from rllib_ptm.cli.run.exit_codes import EXIT_FAILED


@pytest.mark.parametrize(
    ("config", "cores", "expected"),
    [
        ({}, 1, 2),
        ({}, 2, 2),
        ({}, 4, 3),
        ({"num_env_runners": 2}, 4, 2),
        ({"num_env_runners": 6}, 4, 2),  # more processes than cores
        ({"num_env_runners": 2}, 8, 5),
        ({"num_learners": 1, "num_env_runners": 1}, 8, 5),
        ({}, 64, 8),
    ],
)
def test_torch_gets_what_the_other_processes_leave(
    config: dict[str, Any], cores: int, expected: int
) -> None:
    assert main_process_cores([config], cores) == expected


@pytest.mark.parametrize(
    ("config", "cores", "trials", "expected"),
    [
        ({}, 4, 2, 2),
        ({}, 2, 2, 1),
        ({}, 2, 4, 1),
        ({"num_env_runners": 1}, 8, 2, 3),
        ({}, 64, 2, 8),
    ],
)
def test_trials_that_run_at_once_share(
    config: dict[str, Any], cores: int, trials: int, expected: int
) -> None:
    assert main_process_cores([config], cores, trials) == expected


def test_the_largest_trial_decides() -> None:
    configs = [{"num_env_runners": n, "num_cpus_for_main_process": 2} for n in (0, 3)]
    assert main_process_cores(configs, 8) == 4
    assert needed_resources(configs)["CPU"] == 5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_taskset_counts() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert machine_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.fixture(params=["silent", "web page", "hangs up"])
def port(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port where something else than Ray answers."""
    monkeypatch.setattr("rllib_ptm.cli.run.cluster._HANDSHAKE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            if request.param == "web page":
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            if request.param == "silent":
                time.sleep(1)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def enter(options: TrainOptions) -> str:
    """The error of starting or joining a cluster."""
    kind = InputError if options.ray_address else RayStartError  # the user's fault, or not
    with pytest.raises(kind) as error, ray_cluster(options, {}, cores=1):
        pass
    assert "\n" not in str(error.value)
    assert not ray.is_initialized()
    return str(error.value)


def test_a_port_that_is_not_rays_is_one_line_at_once(port: int) -> None:
    start = time.monotonic()
    line = enter(TrainOptions(ray_address=f"127.0.0.1:{port}"))
    assert line == f"--ray-address: what answers at '127.0.0.1:{port}' is not Ray"
    assert time.monotonic() - start < 5


def test_whatever_else_fails_in_ray_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**kwargs: Any) -> None:
        raise RuntimeError("no\nsocket")

    monkeypatch.setattr(ray, "init", fail)
    assert enter(TrainOptions()) == "Ray cannot be started here: RuntimeError: no socket"


TIMED_OUT = "The current node timed out during startup. This could happen because some of the"
EXPERIMENT = """
x:
  run: PTM
  env: multi_task_foraging
  stop: {training_iteration: 1}
"""


def test_a_ray_that_does_not_start_is_no_error_of_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**kwargs: Any) -> None:
        raise Exception(TIMED_OUT)

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(EXPERIMENT)
    assert main(["train", "file", "x.yaml"]) == EXIT_FAILED
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("rllib: Ray cannot be started here: this machine is busy, try again")


@pytest.mark.parametrize(("failures", "starts"), [(0, 1), (1, 2), (2, 3)])
def test_a_ray_that_needs_too_long_is_started_again(
    monkeypatch: pytest.MonkeyPatch, failures: int, starts: int
) -> None:
    """What the failed start has left is ended first."""
    calls: list[str] = []
    running: list[subprocess.Popen[bytes]] = []

    def init(**kwargs: Any) -> None:
        assert all(process.wait(10) == -signal.SIGKILL for process in running)
        calls.append(kwargs["address"])
        if len(calls) <= failures:
            running.append(services.ConsolePopen(["sleep", "60"]))
            raise Exception(TIMED_OUT)

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 1})
    with ray_cluster(TrainOptions(), {"CPU": 1}, cores=1):
        assert calls == ["local"] * starts


def test_a_cluster_starts_although_tmpdir_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And another server of Ray's than the head, whose protocol is the same, is refused."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with ray_cluster(TrainOptions(), {}, cores=1):
        (node,) = ray.nodes()
        address = f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"
        with pytest.raises(InputError, match="is not the head of a Ray cluster"):
            enter_again(address)
    assert list(folder.iterdir()) == []


def test_what_no_trial_can_get_names_its_keys() -> None:
    line = "a trial needs 1 GPU .config.num_gpus_per_learner or num_gpus_per_env_runner., the Ray"
    with pytest.raises(InputError, match=line):
        _check_size({"CPU": 4}, {"CPU": 4, "GPU": 1})


def enter_again(address: str) -> None:
    with ray_cluster(TrainOptions(ray_address=address), {}, cores=1):
        pass


@pytest.mark.parametrize("obstacle", ["too long", "a file", "missing and too long"])
def test_the_folder_of_rays_sessions(
    obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("/tmp", f"t{os.getpid()}")
    if obstacle == "too long":
        folder = tmp_path / ("x" * 60)
    elif obstacle == "missing and too long":
        folder = Path("/nowhere") / ("x" * 60)
    elif obstacle == "a file":
        folder.write_text("")
    try:
        monkeypatch.setenv("TMPDIR", str(folder))
        chosen = session_folder()
        assert chosen is not None
        assert Path(chosen).parts[1] in ("tmp", "var")
        monkeypatch.setenv("RAY_TMPDIR", str(folder))  # what was meant for Ray is not replaced
        with pytest.raises(InputError, match="Ray cannot use") as error:
            session_folder()
        assert str(folder) in str(error.value)
    finally:
        folder.unlink(missing_ok=True)


def test_a_usable_folder_stays_rays_own_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    assert session_folder() in (None, f"/tmp/ray_{os.getuid()}")
