"""Times pieces of work in turn, and prints tables."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

Work = Callable[[], object]


def seconds_in_turn(work: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """The median seconds of each piece of work.

    They take turns, so that what else runs on the machine meets all of them alike. A first round,
    which allocates and compiles, does not count.

    Args:
        work: What to do, by name.
        rounds: How often each is done.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, do in work.items():
            start = time.perf_counter()
            do()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def shares(seconds: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """What, its seconds and its share of all, the largest first."""
    whole = sum(seconds.values())
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    return [(what, each, each / whole) for what, each in ordered]


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table; its numbers have at least three significant digits, its title the cores."""
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
