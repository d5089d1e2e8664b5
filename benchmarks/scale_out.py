"""Throughput with 1, 2 and 4 env runners, and the driver's costs per episode.

First the env runners sample without updates. Then sampling and updates take turns, as in training,
and a second algorithm's env runners play ahead (``play_ahead``); the two train in turn. The first
table shows env steps per second of sampling only, updates per second of update time, and env steps
per second of training. The networks are the paper's; the tasks are small_mt. Each env
runner has 32 battles, a batch has 32 episodes, and there is one update per two episodes.

The second table shows the size of an episode as an env runner sends it, in the replay buffer and in
the learner's batch, and the driver's time to receive it and to make a batch.

Torch uses one thread. Each env runner needs a core. With fewer cores the ratios show how well the
env runners share them, not how well they scale. Pin the cores to compare machines (under two
minutes on two free cores): ``taskset -c 0,1 python benchmarks/scale_out.py``
"""

from __future__ import annotations

import argparse
import os
import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import ray
import torch
from measure import alternating_rates
from rich.console import Console
from rich.table import Table

from rllib_ptm import PTM, PTMConfig
from rllib_ptm.replay.episodes import collate, to_arrays

ENV_RUNNERS = (1, 2, 4)
TASK_SETS = ("small_mt", "large_mt")
SECONDS, TURNS = 6.0, 3
BATCH = 32


class TimedPTM(PTM):
    """PTM that measures the time of its updates and can skip them."""

    updates_enabled = True
    update_seconds = 0.0
    updates = 0

    def _learn(self) -> None:
        if self.updates_enabled:
            start = time.perf_counter()
            super()._learn()
            self.update_seconds += time.perf_counter() - start
            self.updates += 1


def build(num_env_runners: int, tasks: str = "small_mt", play_ahead: bool = False) -> TimedPTM:
    """Builds an algorithm with the paper's networks."""
    config = (
        PTMConfig(algo_class=TimedPTM)
        .environment(env_config={"tasks": tasks})
        .training(
            batch_size_episodes=BATCH,
            episodes_per_training_step=8 * max(num_env_runners, 1),
            updates_per_episode=0.5,
            play_ahead=play_ahead,
        )
        .env_runners(num_env_runners=num_env_runners)
        .reporting(min_sample_timesteps_per_iteration=1)
        .debugging(seed=0, log_level="ERROR")
    )
    return config.build_algo()


def throughput(num_env_runners: int, seconds: float) -> tuple[float, float, float, float]:
    """Returns the rates of sampling only, of updates, and of training in turn and ahead."""
    in_turn, ahead = (build(num_env_runners, play_ahead=ahead) for ahead in (False, True))
    for algorithm in (in_turn, ahead):
        while algorithm.updates == 0:  # compiles, and fills the buffer until updates start
            algorithm.train()
    in_turn.updates_enabled = False
    sampling_rate = alternating_rates({"": in_turn}, seconds, 1)[""]
    in_turn.updates_enabled, in_turn.update_seconds, in_turn.updates = True, 0.0, 0
    rates = alternating_rates({"in turn": in_turn, "ahead": ahead}, seconds / TURNS, TURNS)
    update_rate = in_turn.updates / in_turn.update_seconds
    for algorithm in (in_turn, ahead):
        algorithm.stop()
    return sampling_rate, update_rate, rates["in turn"], rates["ahead"]


def seconds_for(work: Callable[[], Any], rounds: int = 5) -> float:
    """Returns the shortest time of several rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def driver_costs(tasks: str) -> list[str]:
    """Returns a row of the second table."""
    algorithm = build(0, tasks)
    episodes = algorithm.env_runner.sample(num_episodes=4 * BATCH, epsilon=1.0)[: 4 * BATCH]
    sent = pickle.dumps(episodes, protocol=5)
    view = algorithm.config.game.view
    batch = collate(episodes[:BATCH], view)
    kept = sum(array.nbytes for array in to_arrays(episodes).values())
    weights = algorithm.env_runner.module.get_state()
    figures = (
        np.mean([len(episode) for episode in episodes]),
        len(sent) / len(episodes) / 1e3,
        kept / len(episodes) / 1e3,
        sum(array.nbytes for array in batch.values()) / BATCH / 1e3,
        sum(array.nbytes for array in weights.values()) / 1e3,
        1e6 * seconds_for(lambda: pickle.loads(sent)) / len(episodes),
        1e3 * seconds_for(lambda: collate(episodes[:BATCH], view)),
    )
    algorithm.stop()
    return [tasks, *(f"{figure:,.1f}" for figure in figures)]


def throughput_table(seconds: float, env_runners: Sequence[int]) -> Table:
    """Measures every number of env runners, for ``seconds`` per phase."""
    cores = len(os.sched_getaffinity(0))
    table = Table(title=f"small_mt, {cores} cores, {seconds:g} s per phase")
    columns = ("sampling", "ratio", "updates/s", "training in turn", "ratio", "ahead", "to in turn")
    for name in ("env runners", *columns):
        table.add_column(name, justify="right")
    measured = {number: throughput(number, seconds) for number in env_runners}
    first_sampling, _, first_training, _ = measured[env_runners[0]]
    for number, (sampling_rate, update_rate, in_turn, ahead) in measured.items():
        table.add_row(
            str(number),
            f"{sampling_rate:,.0f}",
            f"{sampling_rate / first_sampling:.2f}",
            f"{update_rate:.1f}",
            f"{in_turn:,.0f}",
            f"{in_turn / first_training:.2f}",
            f"{ahead:,.0f}",
            f"{ahead / in_turn:.2f}",
        )
    return table


def cost_table() -> Table:
    """Measures the driver's costs of every task set."""
    table = Table(title=f"Driver costs, random actions, batch of {BATCH}")
    for name in (
        "tasks",
        "steps per episode",
        "kB sent",
        "kB in the buffer",
        "kB in the batch",
        "kB of weights",
        "µs to receive",
        "ms to make a batch",
    ):
        table.add_column(name, justify="right")
    for tasks in TASK_SETS:
        table.add_row(*driver_costs(tasks))
    return table


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description="Measures throughput with several env runners.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="duration of each phase")
    parser.add_argument("--runners", type=int, nargs="+", default=ENV_RUNNERS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ray.init(
        address="local",
        num_cpus=2 * max(arguments.runners) + 1,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
    )
    console = Console()
    console.print(throughput_table(arguments.seconds, arguments.runners))
    console.print(cost_table())


if __name__ == "__main__":
    main()
