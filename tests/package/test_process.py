"""Process-wide settings are made where a process starts, and not by an import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from rllib_ptm import process

# What an import of ours must leave as it is; "before" stands where the import goes.
PROCESS_STATE = """
import gc, json, logging, os, signal, sys
{before}

def state():
    handlers = {{s.name: repr(signal.getsignal(s)) for s in signal.valid_signals()
                 if isinstance(s, signal.Signals)}}
    root = logging.getLogger()
    return {{
        "environment": dict(os.environ),
        "frozen": gc.get_freeze_count(),
        "collector": [gc.isenabled(), *gc.get_threshold()],
        "signals": handlers,
        "logging": [root.level, *map(repr, root.handlers)],
        "own loggers": [logging.getLogger(name).level for name in ("rllib_ptm", "rllib_ptm.envs")],
        "path": sys.path,
        "stubs": [name for name, module in sys.modules.items()
                  if name.startswith("jaxmarl") and module.__spec__ is None],
        "fills": torch.utils.deterministic.fill_uninitialized_memory if {torch} else None,
    }}

first = state()
{imports}
print(json.dumps([first, state()]))
"""


def without(*names: str) -> dict[str, str]:
    """This process's variables, but these."""
    return {key: value for key, value in os.environ.items() if key not in names}


def before_and_after(imports: str, before: str = "") -> list[dict]:
    """The state of a new process before and after it runs some imports."""
    torch = "import torch" in before
    code = PROCESS_STATE.format(imports=imports, before=before, torch=torch)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=without(*process.ENVIRONMENT_VARIABLES),
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_an_import_of_the_packages_changes_nothing() -> None:
    first, after = before_and_after("import rllib_ptm, rllib_ptm.envs, rllib_ptm.cli.main")
    assert after == first


def test_the_use_of_the_names_changes_nothing() -> None:
    # Ray, RLlib and PettingZoo change some of it themselves, so they are imported before.
    libraries = "import ray.rllib, ray.tune, torch, jax, pettingzoo.utils"
    before = f"{libraries}; from ray.rllib.algorithms import Algorithm"
    names = "from rllib_ptm import PTM, PTMConfig, AgentPolicy, TaskPriorityCallback\n"
    environments = (
        "from rllib_ptm.envs import Battles, parallel_env\n"
        "import rllib_ptm.envs.starcraft.smax.battles"
    )
    first, after = before_and_after(names + environments, before)
    assert after == first


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert process.set_environment_variables() == {"GOMP_SPINCOUNT": "7", "JAX_PLATFORMS": "cpu"}
    assert (os.environ["GOMP_SPINCOUNT"], os.environ["JAX_PLATFORMS"]) == ("7", "cpu")


def test_the_command_sets_them_before_torch_is_loaded() -> None:
    code = (
        "import os, sys, rllib_ptm.cli.main as cli; cli.main(['example', 'list']); "
        "print(os.environ['GOMP_SPINCOUNT'], os.environ['JAX_PLATFORMS'], 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=without(*process.ENVIRONMENT_VARIABLES),
    )
    assert done.stdout.splitlines()[-1] == "10000 cpu False"


def test_folders_are_made_importable_once_and_after_all_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", before := ["/usr/lib/python", str(tmp_path)])
    monkeypatch.setattr(process, "IMPORT_FOLDERS", [])
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        process.make_importable(Path("experiments"), tmp_path)
    assert sys.path is before
    assert before == ["/usr/lib/python", str(tmp_path), str(tmp_path / "experiments")]
    assert [str(tmp_path / "experiments"), str(tmp_path)] == process.IMPORT_FOLDERS


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as context:
        for name in process.ENVIRONMENT_VARIABLES:
            context.delenv(name, raising=False)
        yield


def test_an_env_runner_sets_them_in_a_process_of_ours_alone(
    plain_environment: None, cluster: None
) -> None:
    process.prepare_env_runner_process()
    assert not process.ENVIRONMENT_VARIABLES.keys() & os.environ.keys()

    class Worker:
        def prepare(self) -> dict[str, str | None]:
            for name in process.ENVIRONMENT_VARIABLES:
                os.environ.pop(name, None)  # as on a node that others have started
            process.prepare_env_runner_process()
            return {name: os.environ.get(name) for name in process.ENVIRONMENT_VARIABLES}

    worker = ray.remote(Worker).remote()
    assert ray.get(worker.prepare.remote()) == process.ENVIRONMENT_VARIABLES
    ray.kill(worker)
