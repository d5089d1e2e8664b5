"""What the runs of each variant reach, in numbers: ``summary.csv``, and tables for the page.

A run's score is the mean of its last three evaluations; see ``rllib_ptm.results.summary``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from csv_files import write_table
from run_store import TrainedRun

from rllib_ptm.results.runs import Runs
from rllib_ptm.results.summary import summarise

_RATES = ("median", "low", "high", "iqm", "iqm_low", "iqm_high", "area", "last")
COLUMNS = ("experiment", "variant", "runs", *_RATES, "minutes", "hours")


@dataclass(frozen=True)
class Row:
    """The runs of one variant.

    Attributes:
        experiment: The experiment that trained them.
        variant: The variant.
        runs: How many have finished.
        planned: How many the experiment's file has.
        rates: ``median`` over runs with ``low`` and ``high`` at 25 and 75 %; ``iqm``, the
            interquartile mean over runs and tasks, with its 95 % interval from ``iqm_low`` to
            ``iqm_high``, which are NaN for a single run; ``area``, the median of the runs' means
            over environment steps; ``last``, the median of the win rates of the policies at the
            end, NaN if they have not played.
        minutes: Minutes of the processor that a run's training takes; the median.
        hours: Hours of training on the clock, all runs together.
    """

    experiment: str
    variant: str
    runs: int
    planned: int
    rates: Mapping[str, float]
    minutes: float
    hours: float


def row_of(experiment: str, variant: str, trained: Sequence[TrainedRun], planned: int) -> Row:
    """Summarises the finished runs of a variant."""
    (group,) = summarise(Runs(tuple(one.run for one in trained)))
    assert group.iqm is not None  # rliable is there, or ``summarise`` has raised
    median, iqm = group.median, group.iqm
    last = _last_policies(trained)
    values = (median.value, median.low, median.high, iqm.value, iqm.low, iqm.high, group.area, last)
    rates = dict(zip(_RATES, (float(value) for value in values), strict=True))
    minutes = float(np.median([one.end["processor_time_s"] for one in trained])) / 60
    hours = sum(one.end["time_s"] for one in trained) / 3600
    return Row(experiment, variant, len(trained), planned, rates, minutes, hours)


def _last_policies(trained: Sequence[TrainedRun]) -> float:
    played = [one.run.final for one in trained if one.run.final]
    rates = [np.mean([task["win_rate"] for task in final]) for final in played]
    return float(np.median(rates)) if rates else np.nan


def write_summary(rows: Sequence[Row], file: Path) -> None:
    """Writes ``summary.csv``."""
    write_table(file, COLUMNS, map(_cells, rows))


def _cells(row: Row) -> dict[str, str]:
    rates = {key: "" if np.isnan(rate) else f"{rate:.4f}" for key, rate in row.rates.items()}
    own = {"experiment": row.experiment, "variant": row.variant, "runs": str(row.runs)}
    return {**own, **rates, "minutes": f"{row.minutes:.2f}", "hours": f"{row.hours:.2f}"}


def summary_table(rows: Sequence[Row], experiment: str) -> str:
    """The rows as a Markdown table; rows of other experiments say so."""
    names = (
        "runs",
        "median",
        "25 to 75 %",
        "IQM",
        "95 % interval",
        "area",
        "last policy",
        "minutes",
    )
    lines = [f"| variant | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for row in rows:
        other = "" if row.experiment == experiment else f" (of {row.experiment})"
        runs = str(row.runs) if row.runs == row.planned else f"{row.runs} of {row.planned}"
        shown = {key: rate_text(rate) for key, rate in row.rates.items()}
        cells = (
            f"`{row.variant}`{other}",
            runs,
            shown["median"],
            _interval(shown["low"], shown["high"]),
            shown["iqm"],
            _interval(shown["iqm_low"], shown["iqm_high"]),
            shown["area"],
            shown["last"],
            f"{row.minutes:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def further_table(runs: Mapping[str, Sequence[TrainedRun]]) -> str:
    """The win rates on tasks that were not trained, as a Markdown table; empty if none were played.

    Args:
        runs: The finished runs by variant.
    """
    rates: dict[str, dict[str, list[float]]] = {}
    for variant, trained in runs.items():
        for one in trained:
            for record in one.further:
                of_task = rates.setdefault(record["task"], {})
                of_task.setdefault(variant, []).append(record["win_rate"])
    if not rates:
        return ""
    variants = [variant for variant in runs if any(variant in of for of in rates.values())]
    lines = [
        f"| task | {' | '.join(f'`{variant}`' for variant in variants)} |",
        "|---" * (1 + len(variants)) + "|",
    ]
    for task, of_task in rates.items():
        cells = (_median_text(of_task.get(variant, [])) for variant in variants)
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _median_text(rates: Sequence[float]) -> str:
    if not rates:
        return "-"
    low, median, high = np.percentile(rates, [25, 50, 75])
    return f"{rate_text(median)} ({rate_text(low)} to {rate_text(high)})"


def rate_text(rate: float) -> str:
    """As in the paper, without the zero: ``.82``."""
    return "-" if np.isnan(rate) else f"{rate:.2f}".removeprefix("0")


def _interval(low: str, high: str) -> str:
    return "-" if low == "-" else f"{low} to {high}"
