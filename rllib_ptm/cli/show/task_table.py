"""The results of an evaluation, task by task: as a table and as a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from rllib_ptm.checks.errors import InputError

if TYPE_CHECKING:
    from rllib_ptm.play.evaluation_episodes import TaskResult

_RESULT_FILES = (".json", ".csv")


def task_table(results: Sequence[TaskResult], title: str | None = None) -> Table:
    """A row per task, and the mean over tasks below."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("task", no_wrap=True)
    for name in ("episodes", "wins", "win rate", "95 % interval", "return", "length"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in results:
        table.add_row(
            row.task,
            str(row.episodes),
            wins_text(row.wins),
            percent(row.win_rate),
            interval_text(row.interval),
            f"{row.return_mean:.2f}",
            f"{row.length_mean:.1f}",
        )
    if len(results) > 1:
        mean = sum(row.win_rate for row in results) / len(results)
        table.add_section()
        table.add_row("mean", "", "", percent(mean), "", "", "", style="bold")
    return table


def wins_text(wins: float) -> str:
    """The sum of successes as text: whole where every success is 0 or 1."""
    return str(wins) if isinstance(wins, int) else f"{wins:.1f}"


def percent(rate: float) -> str:
    """A rate as text, such as ``73.0 %``."""
    return f"{100 * rate:.1f} %"


def interval_text(interval: tuple[float, float]) -> str:
    """An interval of a rate as text, such as ``63.6 - 80.7 %``."""
    low, high = interval
    return f"{100 * low:.1f} - {100 * high:.1f} %"


def check_result_file(path: Path) -> None:
    """Checks the file's name before the evaluation starts.

    Raises:
        InputError: The file's ending is unknown.
    """
    if path.suffix not in _RESULT_FILES:
        raise InputError(
            f"--out: expected a file name that ends in {' or '.join(_RESULT_FILES)}, "
            f"found {str(path)!r}"
        )


def record_of(row: TaskResult) -> dict[str, Any]:
    """A task's result as plain values."""
    record = asdict(row)
    low, high = record.pop("interval")
    return {**record, "win_rate_low": low, "win_rate_high": high}


def write_results(results: Sequence[TaskResult], path: Path) -> None:
    """Writes a record per task, as JSON or CSV according to the file's ending."""
    write_records([record_of(row) for row in results], path)


def write_records(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes records of the same keys, as JSON or CSV according to the file's ending."""
    if path.suffix == ".json":
        path.write_text(json.dumps(records, indent=2) + "\n")
        return
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]))
        writer.writeheader()
        writer.writerows(records)
