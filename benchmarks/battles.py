"""Battle steps per second: ``SmaxBattles.step`` against SMAX's own compiled step.

A step is one step of one battle (half a second of game time). Both simulators play random actions,
take and return numpy arrays, and start a new battle when one is decided. The time of these resets
does not count, because training resets battles at other times.

- ours: ``SmaxBattles.step`` with mixed team sizes up to the number of slots. It returns positions,
  health, cooldowns and allowed moves, but no features (``rllib_ptm.envs.starcraft.team_view``).
- SMAX alone: ``HeuristicEnemySMAX.step_env``, vmapped and jitted, with a unit in every slot. It
  returns its observations, rewards and done flags as numpy arrays.

Each figure is the best of several rounds. The two run in turn, round by round, so that other load
on the machine affects both. Pin the cores to compare machines: ``taskset -c 0,1 python
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

from rllib_ptm.envs.starcraft.outcome import decided
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.team_view import num_actions

TEAM_SIZES = (6, 11)
BATTLES = (8, 32, 64, 128)
STEPS, ROUNDS = 50, 4

Round = Callable[[], float]  # plays STEPS steps and returns their time in seconds


def battles_round(num_battles: int, size: int) -> Round:
    """Plays teams of half to all of the slots in one compiled program."""
    battles = SmaxBattles(num_battles, size, size)
    rng = np.random.default_rng(0)
    tasks = [parse_task(f"{n}m") for n in range(size // 2, size + 1)]

    def start_battles(which: np.ndarray) -> None:
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
                start_battles(over)
        return seconds

    start_battles(np.arange(num_battles))
    return play


def smax_round(num_battles: int, size: int) -> Round:
    """Plays JaxMARL's environment with its heuristic enemy, as its users call it."""
    import jax
    from jaxmarl.environments.smax import HeuristicEnemySMAX

    smax = HeuristicEnemySMAX(num_allies=size, num_enemies=size)
    reset = jax.jit(jax.vmap(smax.reset))
    step = jax.jit(jax.vmap(smax.step_env))
    rng = np.random.default_rng(0)
    keys = jax.random.split(jax.random.PRNGKey(0), num_battles)
    # The state of a new battle has weak types, for which JAX would compile the step again.
    _, fresh = jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), reset(keys))
    restart_finished = jax.jit(
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
            state = restart_finished(ends["__all__"], fresh, state)
        return seconds

    return play


def steps_per_second(num_battles: int, size: int, rounds: int) -> tuple[float, float]:
    """Returns our steps per second and those of SMAX alone; an additional first round compiles."""
    players = battles_round(num_battles, size), smax_round(num_battles, size)
    for play in players:
        play()
    seconds = np.array([[play() for play in players] for _ in range(rounds)])
    ours, smax = num_battles * STEPS / seconds.min(0)
    return float(ours), float(smax)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Measures battle steps per second.")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="rounds per figure; the best one counts"
    )
    rounds = parser.parse_args().rounds
    cores = len(os.sched_getaffinity(0))
    table = Table(title=f"Battle steps per second, {cores} cores, best of {rounds}")
    for name in ("team size", "battles", "ours", "SMAX alone", "ours / SMAX"):
        table.add_column(name, justify="right")
    for size in TEAM_SIZES:
        for num_battles in BATTLES:
            ours, smax = steps_per_second(num_battles, size, rounds)
            table.add_row(
                f"{size} v {size}",
                str(num_battles),
                f"{ours:,.0f}",
                f"{smax:,.0f}",
                f"{ours / smax:.2f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
