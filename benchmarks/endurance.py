"""A leak test: trains for a long time and checks memory, open files, threads and iteration time.

After each iteration the script reads the resident memory, open files and threads of the driver and
the env runners from /proc, the memory of the GPU if there is one, and the time of the iteration.
Once a minute it saves a checkpoint over the previous one. It fits a line to the last four fifths of
each quantity and prints the line's start, its end and its change per day. A quantity grows if its
line rises by more than 2 % within the run and the slope exceeds three standard errors. The script
then exits with status 1.

All iterations do the same work: the learning rate is close to 0, ε is constant, and the replay
buffer is full after the first minute. So a quantity that grows shows a leak.

Torch uses one thread. Several threads would wait for each other on shared cores, and the iteration
time would measure the other load. Linux only. Pin the cores to compare machines: ``taskset -c 0,1
python benchmarks/endurance.py --minutes 30``
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
WARM_UP = 0.2  # share of the run that is not judged: caches fill and programs are compiled
GROWTH = 0.02
DAY = 86_400.0
FEWEST_ITERATIONS = 20

Samples = dict[str, list[tuple[float, float]]]  # by quantity: (time in s, value)


def process_usage(_: Any = None) -> dict[str, float]:
    """Returns the memory, open files and threads of the current process."""
    status = pathlib.Path("/proc/self/status").read_text()
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return {
        "memory, MB": int(lines["VmRSS"].split()[0]) / 1024,
        "open files": len(os.listdir("/proc/self/fd")),
        "threads": int(lines["Threads"]),
    }


def build(num_env_runners: int) -> PTM:
    """Builds narrow networks, small batches and constant schedules, for many equal updates."""
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


def record(algorithm: PTM, seconds: float, samples: Samples) -> None:
    """Adds the usage of all processes and the time of the last iteration to ``samples``."""
    now = time.monotonic()
    usages = [("driver", process_usage())]
    runners = algorithm.env_runner_group.foreach_env_runner(
        process_usage, local_env_runner=False, timeout_seconds=60
    )
    usages += [(f"env runner {i}", usage) for i, usage in enumerate(runners, 1)]
    for process, usage in usages:
        for quantity, value in usage.items():
            samples[f"{process}: {quantity}"].append((now, value))
    if torch.cuda.is_available():
        samples["GPU: memory, MB"].append((now, torch.cuda.memory_reserved() / 2**20))
    samples["seconds per iteration"].append((now, seconds))


def train(algorithm: PTM, minutes: float) -> Samples:
    """Trains for this time and samples every quantity after each iteration."""
    samples: Samples = defaultdict(list)
    end = time.monotonic() + 60 * minutes
    saved = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            start = time.monotonic()
            algorithm.train()
            record(algorithm, time.monotonic() - start, samples)
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                algorithm.save_to_path(f"{folder}/checkpoint")
                saved = time.monotonic()
    return samples


def fit_line(points: list[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Returns the start, the end, the slope per second and the slope's error of the fitted line."""
    times, values = np.array(points).T
    judged = times >= times[0] + WARM_UP * (times[-1] - times[0])
    x, y = times[judged] - times[judged][0], values[judged]
    design = np.stack([np.ones_like(x), x], 1)
    (start, slope), *_ = np.linalg.lstsq(design, y, rcond=None)
    residuals = y - design @ (start, slope)
    error = np.sqrt(residuals @ residuals / max(len(x) - 2, 1) / ((x - x.mean()) ** 2).sum())
    return start, start + slope * x[-1], slope, float(error)


def report(samples: Samples) -> bool:
    """Prints the table; returns whether a quantity grows."""
    grows = False
    table = Table(title=f"{len(samples['seconds per iteration'])} iterations")
    for column in ("", "start", "end", "per day", "±", "verdict"):
        table.add_column(column, justify="left" if column in ("", "verdict") else "right")
    for quantity, points in samples.items():
        start, end, slope, error = fit_line(points)
        leaks = end - start > GROWTH * abs(start) and slope > 3 * error
        grows = grows or bool(leaks)
        figures = (start, end, DAY * slope, DAY * error)
        table.add_row(quantity, *(f"{x:,.2f}" for x in figures), "GROWS" if leaks else "steady")
    Console(width=100).print(table)
    return grows


def main() -> None:
    """Trains, prints the table, and exits with status 1 if a quantity grows."""
    parser = argparse.ArgumentParser(description="Trains for a long time and checks for leaks.")
    parser.add_argument("--minutes", type=float, default=30.0, help="training time")
    parser.add_argument("--env-runners", type=int, default=1, help="number of remote env runners")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ray.init(address="local", include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    algorithm = build(options.env_runners)
    samples = train(algorithm, options.minutes)
    algorithm.stop()
    if len(samples["seconds per iteration"]) < FEWEST_ITERATIONS:
        sys.exit("too few iterations to fit a line: raise --minutes")
    sys.exit(report(samples))


if __name__ == "__main__":
    main()
