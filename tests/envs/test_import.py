"""What importing ``envs`` leaves unchanged in a process, and where its battles run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

UNCHANGED = """
import importlib, os, sys
import jax, pettingzoo  # PettingZoo sets a variable of PyGame
environment, config = dict(os.environ), dict(jax.config.values)
for module in ("", ".multi_task_sc2_v0", ".starcraft.smax.battles"):
    importlib.import_module(f"rllib_ptm.envs{module}")
    assert dict(os.environ) == environment, f"{module}: os.environ changed"
    assert dict(jax.config.values) == config, f"{module}: jax.config changed"
    left = {"jaxmarl", "jaxmarl.environments"} & set(sys.modules)
    assert not left, f"{module}: an empty package is left"
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
battles.reset(np.arange(2), [parse_task("1m")] * 2, range(2))
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
CACHE_FOLDERS = """
import jax
for enemies, chosen in ((1, "mine"), (2, None)):
    jax.config.update({option!r}, chosen)
    from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
    assert jax.config.jax_compilation_cache_dir == chosen
    SmaxBattles(1, 1, enemies)
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


def test_importing_changes_no_setting_of_the_process() -> None:
    run_python(UNCHANGED)


def test_battles_run_on_the_cpu_where_jax_has_another_default_device() -> None:
    two_devices = "--xla_force_host_platform_device_count=2"
    run_python(ON_THE_FIRST_DEVICE, JAX_PLATFORMS="cpu", XLA_FLAGS=two_devices)


def test_compiled_programs_are_cached_when_battles_are_made(tmp_path: Path) -> None:
    """In the folder that the user has chosen, or in one of ours."""
    code = CACHE_FOLDERS.format(option=OPTION)
    folders = run_python(code, XDG_CACHE_HOME=str(tmp_path), cwd=tmp_path).splitlines()
    assert folders == ["mine", str(tmp_path / "rllib_ptm" / "jax")]
