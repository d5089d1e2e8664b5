"""Trains at full speed and shows that nothing grows: memory, file handles, threads, time.

After every iteration it reads the driver's and the env runners' resident memory, open files and
threads from /proc, the GPU's memory where there is one, and the seconds that the iteration took.
Once a minute it saves a checkpoint over the last one. From the last four fifths of the run it
fits a line to each quantity and prints where it began, where it ended, and what it would be after
a day. A quantity grows if its line rises by more than 2 % within the run and by more than the
scatter around it can explain; then the script ends with status 1.

The learning rate is next to nothing, ε and the replay buffer stay as they are from the first
minute on: so every iteration has the same work to do, and what grows is a leak.

Torch computes on one thread: threads that wait for each other on cores shared with other work
would make the iteration time tell of that work. Linux only. Pin the cores to compare machines:
``taskset -c 0,1 python benchmarks/endurance.py --minutes 30``
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import tempfile
import time
from collections import defaultdict
from typing import Any

import numpy as np
import ray
import torch
from rich.console import Console
from rich.table import Table

from rllib_ptm import PTM, PTMConfig

SECONDS_BETWEEN_CHECKPOINTS = 60.0
WARM_UP = 0.2  # share of the run that is not judged: caches fill, programs are compiled
GROWTH = 0.02
DAY = 86_400.0
FEWEST_ITERATIONS = 20

Samples = dict[str, list[tuple[float, float]]]  # by quantity: when (s), how much


def footprint(_: Any = None) -> dict[str, float]:
    """What the process that runs this holds."""
    status = pathlib.Path("/proc/self/status").read_text()
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return {
        "memory, MB": int(lines["VmRSS"].split()[0]) / 1024,
        "open files": len(os.listdir("/proc/self/fd")),
        "threads": int(lines["Threads"]),
    }


def build(num_env_runners: int) -> PTM:
    """Narrow networks and small batches, so that many are trained on; nothing changes meanwhile."""
    config = (
        PTMConfig()
        .environment(env_config={"tasks": "small_mt"})
        .training(
            lr=1e-9,
            action_head="entity",
            optimizer_name="adam",
            attention_dim=64,
            hypernet_dim=32,
            batch_size_episodes=16,
            buffer_capacity_episodes=200,
            epsilon_initial=0.3,
            epsilon_final=0.3,
        )
        .env_runners(num_env_runners=num_env_runners)
        .debugging(seed=0, log_level="ERROR")
    )
    return config.build_algo()


def sample(algorithm: PTM, seconds: float, samples: Samples) -> None:
    """Adds what all processes hold now, and how long the last iteration took."""
    now = time.monotonic()
    groups = [("driver", [footprint()])]
    runners = algorithm.env_runner_group.foreach_env_runner(
        footprint, local_env_runner=False, timeout_seconds=60
    )
    groups += [(f"env runner {i}", [held]) for i, held in enumerate(runners, 1)]
    for process, (held,) in groups:
        for quantity, value in held.items():
            samples[f"{process}: {quantity}"].append((now, value))
    if torch.cuda.is_available():
        samples["GPU: memory, MB"].append((now, torch.cuda.memory_reserved() / 2**20))
    samples["seconds an iteration"].append((now, seconds))


def run(algorithm: PTM, minutes: float) -> Samples:
    """Trains for so long."""
    samples: Samples = defaultdict(list)
    end = time.monotonic() + 60 * minutes
    saved = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            start = time.monotonic()
            algorithm.train()
            sample(algorithm, time.monotonic() - start, samples)
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                algorithm.save_to_path(f"{folder}/checkpoint")
                saved = time.monotonic()
    return samples


def line(points: list[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Value at the start and at the end of the fitted line, slope per s and its error."""
    times, values = np.array(points).T
    judged = times >= times[0] + WARM_UP * (times[-1] - times[0])
    x, y = times[judged] - times[judged][0], values[judged]
    design = np.stack([np.ones_like(x), x], 1)
    (start, slope), *_ = np.linalg.lstsq(design, y, rcond=None)
    scatter = y - design @ (start, slope)
    error = np.sqrt(scatter @ scatter / max(len(x) - 2, 1) / ((x - x.mean()) ** 2).sum())
    return start, start + slope * x[-1], slope, float(error)


def report(samples: Samples) -> bool:
    """Prints the table; True if something grows."""
    grows = False
    table = Table(title=f"{len(samples['seconds an iteration'])} iterations")
    for column in ("", "at first", "at last", "per day", "±", "verdict"):
        table.add_column(column, justify="left" if column in ("", "verdict") else "right")
    for quantity, points in samples.items():
        start, end, slope, error = line(points)
        leaks = end - start > GROWTH * abs(start) and slope > 3 * error
        grows = grows or bool(leaks)
        figures = (start, end, DAY * slope, DAY * error)
        table.add_row(quantity, *(f"{x:,.2f}" for x in figures), "GROWS" if leaks else "steady")
    Console(width=100).print(table)
    return grows


def main() -> None:
    """Runs, prints the table, and fails if something grows."""
    parser = argparse.ArgumentParser(description="Trains for long and shows that nothing grows.")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long to train")
    parser.add_argument("--env-runners", type=int, default=1, help="remote env runners")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ray.init(address="local", include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    algorithm = build(options.env_runners)
    samples = run(algorithm, options.minutes)
    algorithm.stop()
    if len(samples["seconds an iteration"]) < FEWEST_ITERATIONS:
        sys.exit("too few iterations to judge by: give it more --minutes")
    sys.exit(report(samples))


if __name__ == "__main__":
    main()
