"""How fast battles are played: steps per second of ``Battles.step`` and of native SMAX.

A step is one step of one battle (half a second of the game). Both sides play random actions,
take and give numpy arrays, and start a new battle where one is decided: outside the time that
is measured, because training resets battles at moments of its own.

- ours: ``SmaxBattles.step``. Mixed team sizes up to the slots, positions, health, cooldowns and
  what may be done next; the reading of features (``envs.starcraft.team_view``) is not in it.
- native: ``HeuristicEnemySMAX.step_env``, vmapped and jitted, all slots in use, with the
  observations, rewards and ends that it computes, all given out as numpy.

Each figure is the best of several rounds; the two take turns, round by round, so that what else
runs on the machine meets both. Pin the cores to compare machines: ``taskset -c 0,1 python
benchmarks/battles.py`` (about a minute).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from envs.starcraft.smax import SmaxBattles
from envs.starcraft.tasks import parse_task
from envs.starcraft.team_view import decided, num_actions

TEAM_SIZES = (6, 11)
BATTLES = (8, 32, 64, 128)
STEPS, ROUNDS = 50, 4

Round = Callable[[], float]  # plays STEPS steps and gives the seconds they took


def our_round(num_battles: int, size: int) -> Round:
    """Battles of half to all of the slots, on one compiled program."""
    battles = SmaxBattles(num_battles, size, size)
    rng = np.random.default_rng(0)
    tasks = [parse_task(f"{n}m") for n in range(size // 2, size + 1)]

    def begin(which: np.ndarray) -> None:
        chosen = [tasks[i] for i in rng.integers(len(tasks), size=len(which))]
        seeds = rng.integers(2**32, size=len(which)).tolist()
        battles.reset(which, chosen, seeds)

    def play() -> float:
        seconds = 0.0
        for _ in range(STEPS):
            actions = rng.integers(num_actions(size), size=(num_battles, size))
            start = time.perf_counter()
            units = battles.step(actions)
            seconds += time.perf_counter() - start
            over = np.flatnonzero(decided(units))
            if over.size:
                begin(over)
        return seconds

    begin(np.arange(num_battles))
    return play


def native_round(num_battles: int, size: int) -> Round:
    """JaxMARL's own environment with its enemy, as its users would call it."""
    import jax
    from jaxmarl.environments.smax import HeuristicEnemySMAX

    smax = HeuristicEnemySMAX(num_allies=size, num_enemies=size)
    reset = jax.jit(jax.vmap(smax.reset))
    step = jax.jit(jax.vmap(smax.step_env))
    rng = np.random.default_rng(0)
    keys = jax.random.split(jax.random.PRNGKey(0), num_battles)
    # The state of a new battle has weak types, for which the step would be compiled once more.
    _, fresh = jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), reset(keys))
    renew = jax.jit(
        jax.vmap(
            lambda over, new, old: jax.tree.map(lambda n, o: jax.numpy.where(over, n, o), new, old)
        )
    )
    state = fresh

    def play() -> float:
        nonlocal state
        seconds = 0.0
        for _ in range(STEPS):
            choices = rng.integers(size + 5, size=(size, num_battles))
            start = time.perf_counter()
            actions = dict(zip(smax.agents, choices, strict=True))
            observations, state, rewards, ends, _ = step(keys, state, actions)
            jax.tree.map(np.asarray, (observations, rewards, ends))
            seconds += time.perf_counter() - start
            state = renew(ends["__all__"], fresh, state)
        return seconds

    return play


def steps_per_second(num_battles: int, size: int, rounds: int) -> tuple[float, float]:
    """Ours and native's, best of several rounds in turn; a first one compiles."""
    players = our_round(num_battles, size), native_round(num_battles, size)
    for play in players:
        play()
    seconds = np.array([[play() for play in players] for _ in range(rounds)])
    ours, native = num_battles * STEPS / seconds.min(0)
    return float(ours), float(native)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Measures how fast battles are played.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="best of this many")
    rounds = parser.parse_args().rounds
    cores = len(os.sched_getaffinity(0))
    table = Table(title=f"Steps of battles per second, {cores} cores, best of {rounds}")
    for name in ("team size", "battles", "ours", "native SMAX", "ours / native"):
        table.add_column(name, justify="right")
    for size in TEAM_SIZES:
        for num_battles in BATTLES:
            ours, native = steps_per_second(num_battles, size, rounds)
            table.add_row(
                f"{size} v {size}",
                str(num_battles),
                f"{ours:,.0f}",
                f"{native:,.0f}",
                f"{ours / native:.2f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
