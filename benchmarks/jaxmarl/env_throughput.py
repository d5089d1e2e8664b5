"""How many parallel environments suit this machine: env steps per second of JaxMARL's SMAX alone.

    taskset -c 0,1 jaxmarl_venv/bin/python benchmarks/jaxmarl/env_throughput.py JaxMARL

The environments are those of the Q-learners, behind JaxMARL's own ``CTRolloutManager``. They play
random actions of those that are allowed, as one compiled program of 64 steps. The last column is
per second of all cores together. Other programs hardly change it, but it hides what a second core
is good for.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from baseline_run import BASELINES
from omegaconf import OmegaConf

NUMBERS = (8, 16, 32, 64, 128, 256, 512)
STEPS, ROUNDS = 64, 3
NEAR_BEST = 0.9


def make_manager(checkout: Path, scenario: str, num_envs: int) -> Any:
    """The environments, with JaxMARL's settings for QMIX."""
    sys.path.insert(0, str(checkout))
    from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario
    from jaxmarl.wrappers.baselines import CTRolloutManager, SMAXLogWrapper

    settings = OmegaConf.load(checkout / "baselines" / BASELINES["qmix"].configs[-1])
    scene = map_name_to_scenario(scenario)
    smax: Any = SMAXLogWrapper(HeuristicEnemySMAX(scenario=scene, **settings["ENV_KWARGS"]))
    return CTRolloutManager(smax, batch_size=num_envs)


def play(manager: Any, key: jax.Array, state: Any) -> Any:
    """Plays ``STEPS`` steps, and returns the state and what a learner would get of them."""

    def step(state: Any, key: jax.Array) -> tuple[Any, Any]:
        draw, battle = jax.random.split(key)
        allowed = manager.get_valid_actions(state.env_state)
        keys = dict(zip(allowed, jax.random.split(draw, len(allowed)), strict=True))
        actions = {
            agent: jax.random.categorical(keys[agent], jnp.log(mask))
            for agent, mask in allowed.items()
        }
        observations, state, rewards, ends, _ = manager.batch_step(battle, state, actions)
        return state, (observations, rewards, ends)

    return jax.lax.scan(step, state, jax.random.split(key, STEPS))


def rates(manager: Any, num_envs: int) -> tuple[float, float]:
    """Env steps per second and per processor second, each of the best round."""
    key = jax.random.PRNGKey(0)
    _, state = manager.batch_reset(key)
    program = jax.jit(partial(play, manager)).lower(key, state).compile()
    found = []
    for _ in range(1 + ROUNDS):
        start, processor = time.perf_counter(), time.process_time()
        state, _ = jax.block_until_ready(program(key, state))
        wall = time.perf_counter() - start
        found.append((wall, time.process_time() - processor))
    walls, processors = zip(*found[1:], strict=True)  # the first round starts the threads
    return num_envs * STEPS / min(walls), num_envs * STEPS / min(processors)


def main() -> None:
    """Prints a line per number of environments, and the smallest that is nearly the fastest."""
    parser = argparse.ArgumentParser(description="Env steps per second of JaxMARL's SMAX.")
    parser.add_argument("jaxmarl", type=Path, help="a clone of JaxMARL")
    parser.add_argument("--scenario", default="5m_vs_6m", help="a map of SMAX")
    parser.add_argument("--num-envs", type=int, nargs="+", default=NUMBERS)
    given = parser.parse_args()
    print(f"{given.scenario}, {len(os.sched_getaffinity(0))} cores")
    found = {}
    for number in given.num_envs:
        rate, per_processor = rates(make_manager(given.jaxmarl, given.scenario, number), number)
        found[number] = rate
        line = f"{number:5} envs: {rate:8,.0f} env steps/s, {per_processor:8,.0f} of a processor"
        print(line, flush=True)
    best = max(found.values())
    enough = min(number for number, rate in found.items() if rate >= NEAR_BEST * best)
    print(f"{enough} envs reach {NEAR_BEST:.0%} of the best rate")


if __name__ == "__main__":
    main()
