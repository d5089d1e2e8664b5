"""Throughput of sampling and learning over 1, 2 and 4 env runners, and what an episode weighs.

First the env runners only play, then they play and the learner learns, in turns as ever. Playing
counts steps of battles a second without updates; learning counts gradient steps a second of
updating; in all counts steps a second of training. The networks are the paper's, the tasks
small_mt, 32 battles an env runner, a batch of 32 episodes, one update for two episodes.

The second table is what the driver handles: bytes of an episode as it comes from an env runner,
as it lies in the replay buffer, and as the learner's batch has it, and the driver's seconds.

Torch computes on one thread. Env runners need a core each, so on fewer cores the ratios say how
well they share, not how well they scale. Pin the cores to compare machines (under two minutes on
two free cores): ``taskset -c 0,1 python benchmarks/scale_out.py``
"""

from __future__ import annotations

import argparse
import os
import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import ray
import torch
from rich.console import Console
from rich.table import Table

from rllib_ptm import PTM, PTMConfig
from rllib_ptm.replay.episodes import collate, to_arrays

ENV_RUNNERS = (1, 2, 4)
TASK_SETS = ("small_mt", "large_mt")
SECONDS = 6.0
BATCH = 32


class TimedPTM(PTM):
    """Adds up what the updates take, and leaves them out where they are not wanted."""

    learns = True
    seconds_updating = 0.0
    updates = 0

    def _update(self) -> None:
        if self.learns:
            start = time.perf_counter()
            super()._update()
            self.seconds_updating += time.perf_counter() - start
            self.updates += 1


def build(num_env_runners: int, tasks: str = "small_mt") -> TimedPTM:
    """The paper's networks."""
    config = (
        PTMConfig(algo_class=TimedPTM)
        .environment(env_config={"tasks": tasks})
        .training(
            batch_size_episodes=BATCH,
            episodes_per_training_step=8 * max(num_env_runners, 1),
            updates_per_episode=0.5,
        )
        .env_runners(num_env_runners=num_env_runners)
        .reporting(min_sample_timesteps_per_iteration=1)
        .debugging(seed=0, log_level="ERROR")
    )
    return config.build_algo()


def throughput(num_env_runners: int, seconds: float) -> tuple[float, float, float]:
    """Steps a second of playing, updates a second of updating, steps a second of training."""
    algorithm = build(num_env_runners)
    while algorithm.updates == 0:  # compiles, and fills the buffer until updates begin
        algorithm.train()
    algorithm.learns = False
    playing = steps_per_second(algorithm, seconds)
    algorithm.learns, algorithm.seconds_updating, algorithm.updates = True, 0.0, 0
    in_all = steps_per_second(algorithm, seconds)
    updating = algorithm.updates / algorithm.seconds_updating
    algorithm.stop()
    return playing, updating, in_all


def steps_per_second(algorithm: PTM, seconds: float) -> float:
    """Trains for so long."""
    steps, start = algorithm.env_steps, time.perf_counter()
    while time.perf_counter() - start < seconds:
        algorithm.train()
    return (algorithm.env_steps - steps) / (time.perf_counter() - start)


def seconds_for(work: Callable[[], Any], rounds: int = 5) -> float:
    """The best of several rounds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def weigh(tasks: str) -> list[str]:
    """One row of the second table."""
    algorithm = build(0, tasks)
    episodes = algorithm.env_runner.sample(num_episodes=4 * BATCH, epsilon=1.0)[: 4 * BATCH]
    sent = pickle.dumps(episodes, protocol=5)
    batch = collate(episodes[:BATCH])
    kept = sum(array.nbytes for array in to_arrays(episodes).values())
    weights = algorithm.env_runner.module.get_state()
    figures = (
        np.mean([len(episode) for episode in episodes]),
        len(sent) / len(episodes) / 1e3,
        kept / len(episodes) / 1e3,
        sum(array.nbytes for array in batch.values()) / BATCH / 1e3,
        sum(array.nbytes for array in weights.values()) / 1e3,
        1e6 * seconds_for(lambda: pickle.loads(sent)) / len(episodes),
        1e3 * seconds_for(lambda: collate(episodes[:BATCH])),
    )
    algorithm.stop()
    return [tasks, *(f"{figure:,.1f}" for figure in figures)]


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description="Measures throughput over env runners.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each phase")
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    ray.init(
        address="local",
        num_cpus=max(ENV_RUNNERS) + 1,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
    )
    console = Console()
    cores = len(os.sched_getaffinity(0))
    table = Table(title=f"small_mt, {cores} cores, {seconds:g} s each")
    for name in ("env runners", "steps/s playing", "ratio", "updates/s", "steps/s in all", "ratio"):
        table.add_column(name, justify="right")
    first: tuple[float, float, float] | None = None
    for number in ENV_RUNNERS:
        playing, updating, whole = throughput(number, seconds)
        first = first or (playing, updating, whole)
        figures = (f"{playing:,.0f}", f"{playing / first[0]:.2f}", f"{updating:.1f}")
        table.add_row(str(number), *figures, f"{whole:,.0f}", f"{whole / first[2]:.2f}")
    console.print(table)
    table = Table(title=f"what the driver handles, random play, batch of {BATCH}")
    for name in (
        "tasks",
        "steps an episode",
        "kB sent",
        "kB in the buffer",
        "kB in the batch",
        "kB of weights",
        "µs to receive",
        "ms to make a batch",
    ):
        table.add_column(name, justify="right")
    for tasks in TASK_SETS:
        table.add_row(*weigh(tasks))
    console.print(table)


if __name__ == "__main__":
    main()
