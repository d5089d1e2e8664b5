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
    """A row per task, or composition, and the mean over tasks below."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("task", overflow="fold")  # the other columns keep their width
    for name in ("wins", "win rate", "95 % interval", "return", "length", "timeout"):
        table.add_column(name, justify="right", no_wrap=True)
    for _, row in shown_rows(results):
        table.add_row(
            row_name(row),
            wins_text(row),
            percent(row.win_rate),
            interval_text(row.interval),
            f"{row.return_mean:z.2f}",  # z: a rounding error is no "-0.00"
            f"{row.length_mean:.1f}",
            f"{100 * row.truncated_share:.0f} %",
        )
    if len({row.task for row in results}) > 1:
        table.add_section()
        mean = percent(mean_win_rate(results))
        table.add_row("mean", "", mean, "", "", "", "", style="bold")
    return table


def shown_rows(results: Sequence[TaskResult]) -> list[tuple[int, TaskResult]]:
    """The rows to show and their places; the one composition of a fixed task tells no more."""
    return [(number, row) for number, row in enumerate(results) if row.composition != row.task]


def row_name(row: TaskResult) -> str:
    """The task's name; a composition stands indented below its task."""
    return f"  {row.composition}" if row.composition else row.task


def mean_win_rate(results: Sequence[TaskResult]) -> float:
    """The mean over tasks."""
    rates = [row.win_rate for row in results if not row.composition]
    return sum(rates) / len(rates)


def wins_text(row: TaskResult) -> str:
    """The sum of successes, whole where every success is 0 or 1, of the number of episodes."""
    wins = str(row.wins) if isinstance(row.wins, int) else f"{row.wins:.1f}"
    return f"{wins}/{row.episodes}"


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


def records_of(results: Sequence[TaskResult]) -> list[dict[str, Any]]:
    """The rows that are shown as plain values; they name compositions only if one is of one."""
    by_composition = any(row.composition for row in results)
    records = []
    for _, row in shown_rows(results):
        record = asdict(row)
        low, high = record.pop("interval")
        composition = record.pop("composition")
        own = {"task": record.pop("task")}
        if by_composition:
            own["composition"] = composition
        records.append({**own, **record, "win_rate_low": low, "win_rate_high": high})
    return records


def write_results(results: Sequence[TaskResult], path: Path) -> None:
    """Writes a record per result, as JSON or CSV according to the file's ending."""
    write_records(records_of(results), path)


def write_records(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes records of the same keys, as JSON or CSV according to the file's ending."""
    if path.suffix == ".json":
        path.write_text(json.dumps(records, indent=2) + "\n")
        return
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]))
        writer.writeheader()
        writer.writerows(records)
