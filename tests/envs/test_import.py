"""What importing ``envs`` leaves unchanged in a process, and where its battles run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

UNCHANGED = """
import importlib, os, sys
import jax, pettingzoo  # PettingZoo sets a variable of PyGame
environment, config, modules = dict(os.environ), dict(jax.config.values), set(sys.modules)
importlib.import_module({module!r})
assert dict(os.environ) == environment, "os.environ changed"
assert dict(jax.config.values) == config, "jax.config changed"
assert not {{"jaxmarl", "jaxmarl.environments"}} & set(sys.modules), "an empty package is left"
"""

# The second device of the CPU stands for a GPU that is JAX's default.
ON_THE_FIRST_DEVICE = """
import pickle
import jax, numpy as np
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.tasks import parse_task
first, second = jax.local_devices()
jax.config.update("jax_default_device", second)

def devices(battles):
    leaves = jax.tree.leaves((battles._keys, battles._state))
    return {device for leaf in leaves for device in leaf.devices()}

battles = SmaxBattles(2, 1, 1)
for tasks in (1, 2):
    battles.reset(np.arange(tasks), [parse_task("1m")] * tasks, range(tasks))
    assert devices(battles) == {first}
copied, resumed = pickle.loads(pickle.dumps(battles)), SmaxBattles(2, 1, 1)
resumed.set_state(battles.get_state())
for played in (battles, copied, resumed):
    played.step(np.ones((2, 1), np.int64))
    assert devices(played) == {first}
assert jax.config.jax_default_device == second
assert jax.numpy.ones(1).devices() == {second}
"""

OPTION = "jax_compilation_cache_dir"
CACHE_FOLDER = """
import jax
{before}
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
assert jax.config.jax_compilation_cache_dir == {imported!r}
SmaxBattles(1, 1, 1)
print(jax.config.jax_compilation_cache_dir)
"""


def run_python(code: str, cwd: Path | None = None, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
        | variables,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "module",
    ["rllib_ptm.envs", "rllib_ptm.envs.multi_task_sc2_v0", "rllib_ptm.envs.starcraft.smax.battles"],
)
def test_importing_changes_no_setting_of_the_process(module: str) -> None:
    run_python(UNCHANGED.format(module=module))


def test_battles_run_on_the_cpu_where_jax_has_another_default_device() -> None:
    two_devices = "--xla_force_host_platform_device_count=2"
    run_python(ON_THE_FIRST_DEVICE, JAX_PLATFORMS="cpu", XLA_FLAGS=two_devices)


@pytest.mark.parametrize("chosen", [None, "mine"], ids=["default", "user's"])
def test_compiled_programs_are_cached_when_battles_are_made(
    chosen: str | None, tmp_path: Path
) -> None:
    before = "" if chosen is None else f"jax.config.update({OPTION!r}, {chosen!r})"
    code = CACHE_FOLDER.format(before=before, imported=chosen)
    expected = chosen or str(tmp_path / "rllib_ptm" / "jax")
    assert run_python(code, XDG_CACHE_HOME=str(tmp_path), cwd=tmp_path) == expected
