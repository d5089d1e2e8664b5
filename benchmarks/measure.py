"""Timing of interleaved work, and tables."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

Work = Callable[[], object]


def interleaved_seconds(
    work: Mapping[str, Work], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Returns the median time of each piece of work, in seconds.

    The pieces run in turn, round by round, so that other load on the machine affects all of them
    equally. An additional first round, which allocates and compiles, does not count.

    Args:
        work: The functions to time, by name.
        rounds: How many times each function is timed.
        clock: Wall time, or ``time.process_time`` for processor time.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, run in work.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def alternating_rates(
    algorithms: Mapping[str, Any], seconds: float, turns: int
) -> dict[str, float]:
    """Returns each algorithm's env steps per second of training, the median of its turns.

    They train in turn, so that other load on the machine affects all of them equally.

    Args:
        algorithms: Algorithms of PTM, by name, which have begun to update.
        seconds: Least duration of a turn; it ends with an iteration.
        turns: How many turns each has.
    """
    rates: dict[str, list[float]] = {name: [] for name in algorithms}
    for _ in range(turns):
        for name, algorithm in algorithms.items():
            steps, start = algorithm.env_steps, time.perf_counter()
            while time.perf_counter() - start < seconds:
                algorithm.train()
            rates[name].append((algorithm.env_steps - steps) / (time.perf_counter() - start))
    return {name: statistics.median(each) for name, each in rates.items()}


def shares(seconds: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Returns name, seconds and share of the total, in descending order."""
    whole = sum(seconds.values())
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    return [(name, each, each / whole) for name, each in ordered]


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table with three or more significant digits; the title tells the number of cores."""
    cores = len(os.sched_getaffinity(0))
    table = Table(title=f"{title} ({cores} cores)", title_justify="left")
    for name in columns:
        table.add_column(name, justify="left" if name == columns[0] else "right")
    for row in rows:
        table.add_row(*(_text(value) for value in row))
    Console().print(table)


def _text(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
