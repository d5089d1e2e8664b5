"""The summary of runs by group, as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from rllib_ptm.results.statistics import Estimate
    from rllib_ptm.results.summary import GroupSummary


def summary_table(summaries: Sequence[GroupSummary], title: str, *, rate: bool) -> Table:
    """A row per group.

    Args:
        summaries: The groups of one experiment.
        title: The experiment's name, and the metric.
        rate: The values are shown in per cent.
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("group", overflow="fold")
    iqm_names = ("IQM", "95 %") if any(one.iqm is not None for one in summaries) else ()
    for name in ("runs", "median", "25 - 75 %", *iqm_names, "area", "hours"):
        table.add_column(
            name, justify="right", overflow="fold"
        )  # in a narrow terminal, none is cut
    for one in summaries:
        iqm = [] if one.iqm is None else _cells(one.iqm, rate)
        cells = [*_cells(one.median, rate), *iqm, value_text(one.area, rate), f"{one.hours:.1f}"]
        table.add_row(one.group, f"{one.runs}{' *' * bool(one.unfinished)}", *cells)
    return table


def _cells(estimate: Estimate, rate: bool) -> list[str]:
    low, high = (value_text(float(end), rate) for end in (estimate.low, estimate.high))
    return [value_text(float(estimate.value), rate), "-" if low == "-" else f"{low} - {high}"]


def value_text(value: float, rate: bool) -> str:
    """A value for a cell: a rate in per cent, without the sign; ``-`` if there is none."""
    if math.isnan(value):
        return "-"
    return f"{100 * value:.1f}" if rate else f"{value:.4g}"
