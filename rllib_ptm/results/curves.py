"""Curves of groups of runs over a common axis.

The runs of a group are evaluated at different points, and may end at different ones. Each run is
interpolated between its own evaluations, and never continued beyond its ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rllib_ptm.checks.errors import unknown_name
from rllib_ptm.results.runs import Run
from rllib_ptm.results.statistics import columns_of, estimate
from rllib_ptm.results.trials import ENV_STEPS, PROCESSOR_TIME, TIME, UPDATES

# The values of --x. Time is that of the processor if all runs have measured it: other programs on
# the machine change it less.
STEPS_AXIS, TIME_AXIS, UPDATES_AXIS = "steps", "time", "updates"
AXES = (STEPS_AXIS, TIME_AXIS, UPDATES_AXIS)


@dataclass(frozen=True)
class Curve:
    """A group's statistic over the common axis; all arrays are over its points.

    Attributes:
        x: The points: environment steps, seconds or updates.
        value: The statistic.
        low: The lower end of its range; NaN where too few runs are left.
        high: The upper end.
        count: How many runs have come so far; the statistic is of these alone.
    """

    x: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray


def axis_column(runs: Sequence[Run], axis: str) -> str:
    """The column of the runs' tables for one of ``AXES``.

    Raises:
        InputError: There is no such axis.
    """
    if axis not in AXES:
        raise unknown_name("--x", axis, AXES)
    if axis != TIME_AXIS:
        return {STEPS_AXIS: ENV_STEPS, UPDATES_AXIS: UPDATES}[axis]
    measured = all(run.curve[PROCESSOR_TIME].notna().all() for run in runs)
    return PROCESSOR_TIME if measured else TIME


def group_curve(runs: Sequence[Run], metric: str, column: str, statistic: str) -> Curve | None:
    """The curve of a group; None if no run has two values of the metric.

    Args:
        runs: The runs of the group.
        metric: See ``Run.values``.
        column: What is the axis, a column of ``PROGRESS``.
        statistic: ``median`` or ``iqm``.

    Raises:
        InputError: The runs have no such metric, or different tasks.
    """
    columns = columns_of(runs, metric)
    tables = [_table(run, columns, column) for run in runs]
    tables = [table for table in tables if len(table) > 1]
    if not tables:
        return None
    x = _common_points([table[:, 0] for table in tables], [run.finished for run in runs])
    scores = np.stack([_interpolated(table, x) for table in tables])  # [runs, columns, points]
    present = ~np.isnan(scores[:, 0])
    parts = [estimate(scores[present[:, a], :, a:b], statistic) for a, b in _stretches(present)]
    value, low, high = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("value", "low", "high")
    )
    return Curve(x, value, low, high, present.sum(axis=0))


def _table(run: Run, columns: Sequence[str], axis: str) -> np.ndarray:
    """[evaluations, 1 + columns]: the axis, then the values; rows without a value left out."""
    if all(column in run.curve for column in columns):
        rows = run.curve[[axis, *columns]].to_numpy(float)
    elif not len(run.curve) and len(columns) > 1:
        rows = np.empty((0, 1 + len(columns)))
    else:
        rows = run.values(columns[0])[[axis, "value"]].to_numpy(float)
    rows = rows[~np.isnan(rows).any(axis=1)]
    return rows[np.append(np.diff(rows[:, 0]) > 0, True)] if len(rows) else rows


def _common_points(axes: Sequence[np.ndarray], finished: Sequence[bool]) -> np.ndarray:
    """As many points as a run has values, from where all have begun to where one has ended.

    A run that is unfinished shortens no curve: the points beyond it have fewer runs.
    """
    number = round(float(np.median([len(axis) for axis in axes])))
    start = max(axis[0] for axis in axes)
    ends = [axis[-1] for axis, whole in zip(axes, finished, strict=False) if whole]
    end = min(ends) if ends else max(axis[-1] for axis in axes)
    return np.linspace(start, max(end, start), number)


def _interpolated(table: np.ndarray, x: np.ndarray) -> np.ndarray:
    """[columns, points]; NaN outside the run's own evaluations."""
    nan = float("nan")
    lines = [np.interp(x, table[:, 0], line, left=nan, right=nan) for line in table[:, 1:].T]
    return np.stack(lines)


def _stretches(present: np.ndarray) -> list[tuple[int, int]]:
    """Begin and end of each stretch of points that the same runs have. [runs, points] of bool."""
    changes = np.flatnonzero((present[:, 1:] != present[:, :-1]).any(axis=0)) + 1
    ends = [0, *changes.tolist(), present.shape[1]]
    return list(itertools.pairwise(ends))


def mean_over_steps(run: Run, metric: str) -> float:
    """The area under a run's curve, divided by its length in environment steps; NaN if too short.

    It rewards fast learning: of two runs with equal ends, the one that got there earlier has more.
    """
    table = run.values(metric)[[ENV_STEPS, "value"]].to_numpy(float)
    if len(table) < 2:
        return float("nan")
    length = table[-1, 0] - table[0, 0]
    return float(np.trapezoid(table[:, 1], table[:, 0]) / length) if length else float("nan")
