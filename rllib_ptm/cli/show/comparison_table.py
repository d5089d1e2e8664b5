"""The comparison of several checkpoints, as a table and as records of a file."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.show.task_table import (
    interval_text,
    mean_win_rate,
    percent,
    records_of,
    row_name,
    shown_rows,
    wins_text,
)

if TYPE_CHECKING:
    from rllib_ptm.evaluate.comparison import Compared, Difference

NAMES = string.ascii_uppercase


def check_number(checkpoints: Sequence[Any]) -> None:
    """Checks that there is a letter for each checkpoint.

    Raises:
        InputError: There are too many.
    """
    if len(checkpoints) > len(NAMES):
        raise InputError(f"expected at most {len(NAMES)} checkpoints, found {len(checkpoints)}")


def comparison_table(compared: Sequence[Compared]) -> Table:
    """For each task, or composition, a row per checkpoint; the mean over tasks below.

    In 80 columns there is no room for each ``%``, so a line below the table names the unit.
    """
    table = Table(caption="Intervals and differences are in per cent.", caption_justify="left")
    table.add_column("task", overflow="fold")  # the other columns keep their width
    table.add_column("", no_wrap=True, min_width=1)
    for name in ("wins", "win rate", "95 % interval", f"minus {NAMES[0]}", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, first in shown_rows(compared[0].results):
        for name, of in zip(NAMES, compared, strict=False):
            row = of.results[number]
            table.add_row(
                row_name(first) if of is compared[0] else "",
                name,
                wins_text(row),
                percent(row.win_rate),
                interval_text(row.interval).removesuffix(" %"),
                *_difference(of.differences.get((row.task, row.composition))),
            )
        table.add_section()
    for name, of in zip(NAMES, compared, strict=False):
        mean = "mean" if of is compared[0] else ""
        cells = mean, name, "", percent(mean_win_rate(of.results)), "", *_difference(of.difference)
        table.add_row(*cells, style="bold")
    return table


def comparison_records(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """A record for each checkpoint and row of its results, and for its mean over tasks."""
    records = []
    for of in compared:
        rows = (row for _, row in shown_rows(of.results))
        for row, record in zip(rows, records_of(of.results), strict=True):
            difference = _record(of.differences.get((row.task, row.composition)))
            records.append({"checkpoint": of.checkpoint, **record, **difference})
        mean = dict.fromkeys(records[-1]) | {"checkpoint": of.checkpoint, "task": "mean"}
        records.append({**mean, "win_rate": mean_win_rate(of.results), **_record(of.difference)})
    return records


def _difference(found: Difference | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    low, high = found.interval
    return f"{100 * found.mean:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}"


def _record(found: Difference | None) -> dict[str, float | None]:
    if found is None:
        return dict.fromkeys(("difference", "difference_low", "difference_high"))
    low, high = asdict(found)["interval"]
    return {"difference": found.mean, "difference_low": low, "difference_high": high}
