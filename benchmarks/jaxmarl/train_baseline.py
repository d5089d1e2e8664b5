"""Trains one of JaxMARL's baselines by its own code. The process that ``run_baselines.py`` starts.

It runs with the Python of JaxMARL's virtual environment. Nothing of JaxMARL is changed: its
``make_train`` gets its own settings, and ``wandb`` is a stand-in (``run_recorder``). Its ``main``
maps the training over several seeds by ``jax.vmap``; here a process trains one seed, the first of
those.

The time to trace and compile is measured apart, as JAX can compile a program before it runs it.
"""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
from baseline_run import GREEDY, BaselineRun
from omegaconf import OmegaConf
from run_recorder import Clocks, RunRecorder, wandb_stub


def settings_of(run: BaselineRun, checkout: Path) -> dict[str, Any]:
    """JaxMARL's settings for SMAX, with what the run says."""
    config: dict[str, Any] = {}
    for name in run.baseline.configs:
        config |= OmegaConf.to_container(OmegaConf.load(checkout / "baselines" / name))
    config |= {
        "MAP_NAME": run.scenario,
        "NUM_ENVS": run.num_envs,
        "TOTAL_TIMESTEPS": run.env_steps,
        "SEED": run.seed,
        "NUM_SEEDS": 1,
        "WANDB_MODE": "online",  # otherwise the Q-learners do not log
    }
    if run.baseline.metric == GREEDY:
        config |= {"TEST_INTERVAL": 1 / run.reports, "TEST_NUM_ENVS": run.battles}
    return config


def make_program(script: ModuleType, config: dict[str, Any]) -> Callable[..., Any]:
    """The whole training as a function of a random key; adds ``NUM_UPDATES`` to the settings."""
    if not hasattr(script, "env_from_config"):  # IPPO's makes its environment itself
        return script.make_train(config)
    env, _ = script.env_from_config(copy.deepcopy(config))
    return script.make_train(config, env)


def train(run: BaselineRun, checkout: Path, file: Path) -> None:
    """Trains, and writes the CSV file.

    Args:
        run: What to train.
        checkout: The folder of JaxMARL.
        file: The CSV file.
    """
    recorder = RunRecorder(run, file)
    sys.modules["wandb"] = wandb_stub(recorder)
    sys.path.insert(0, str(checkout))
    script = importlib.import_module(run.baseline.module)
    config = settings_of(run, checkout)
    start = Clocks.now()
    key = jax.random.split(jax.random.PRNGKey(run.seed), 1)[0]
    program = jax.jit(make_program(script, config)).lower(key).compile()
    tests = run.baseline.metric == GREEDY
    recorder.start(
        compiling=Clocks.now().since(start),
        test_every=int(config["NUM_UPDATES"] * config["TEST_INTERVAL"]) if tests else 1,
    )
    jax.block_until_ready(program(key))
    jax.effects_barrier()
    recorder.finish()


if __name__ == "__main__":
    train(BaselineRun.from_json(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
