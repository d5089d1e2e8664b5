"""What runs reach at the end, by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rllib_ptm.results.curves import TIME_AXIS, axis_column, mean_over_steps
from rllib_ptm.results.draw.style import in_order
from rllib_ptm.results.runs import BY_VARIANT, Run, Runs
from rllib_ptm.results.statistics import Estimate, final_scores, iqm, median
from rllib_ptm.results.trials import ENV_STEPS
from rllib_ptm.tasks.metrics import WIN_RATE_MEAN


@dataclass(frozen=True)
class GroupSummary:
    """The runs of one group. A value is NaN where no run has one.

    Attributes:
        experiment: The experiment's name.
        group: The group's name.
        runs: How many runs have a value.
        unfinished: How many of all its runs have not reached their stop condition.
        median: Of the runs' last values, with 25 and 75 %. A run's last value is the mean over
            its last three evaluations.
        iqm: The interquartile mean over runs and tasks, with a 95 % interval; None without rliable.
        area: The median of the runs' means over environment steps.
        hours: Of the processor, all runs together; of the clock if that was not measured.
    """

    experiment: str
    group: str
    runs: int
    unfinished: int
    median: Estimate
    iqm: Estimate | None
    area: float
    hours: float


def summarise(
    runs: Runs, by: str = BY_VARIANT, metric: str = WIN_RATE_MEAN, *, intervals: bool = True
) -> list[GroupSummary]:
    """Summarises runs by experiment and group.

    Args:
        runs: What ``read_runs`` returns.
        by: What makes a group; see ``Runs.groups``.
        metric: See ``Run.values``.
        intervals: Compute the interquartile mean and its interval, which need rliable.

    Raises:
        InputError: There is no such key or metric, or rliable is not installed.
    """
    return [
        _summary(experiment, group, of, metric, intervals)
        for experiment in runs.experiments
        for group, of in _in_order(runs.of(experiment).groups(by))
    ]


def differences(runs: Runs, by: str = BY_VARIANT, metric: str = WIN_RATE_MEAN) -> tuple[str, ...]:
    """Says where runs stand side by side that were not trained or evaluated alike.

    Args:
        runs: What ``read_runs`` returns.
        by: What makes a group; see ``Runs.groups``.
        metric: What is shown; see ``Run.values``.

    Returns:
        For each experiment a line if means over different tasks are shown, and one if its finished
        runs end more than an evaluation apart.

    Raises:
        InputError: There is no such key.
    """
    lines = []
    for experiment in runs.experiments:
        groups = dict(_in_order(runs.of(experiment).groups(by)))
        tasks = _different_tasks(groups) if metric == WIN_RATE_MEAN else ""
        found = (tasks, _different_ends(groups))
        lines += [f"{experiment}: {line}" for line in found if line]
    return tuple(lines)


def _different_tasks(groups: Mapping[str, Sequence[Run]]) -> str:
    first: dict[tuple[str, ...], str] = {}  # the first group with these tasks
    for group, runs in groups.items():
        for run in runs:
            if run.tasks:
                first.setdefault(run.tasks, group)
    if len(first) < 2:
        return ""
    sets = "; ".join(f"{group}: {', '.join(tasks)}" for tasks, group in first.items())
    return f"the runs were evaluated on different tasks ({sets}), so their means do not compare"


def _different_ends(groups: Mapping[str, Sequence[Run]]) -> str:
    ends = {
        run: f"{run.env_steps:,.0f} steps ({group})"
        for group, runs in groups.items()
        for run in runs
        if run.finished and run.env_steps > 0
    }
    if not ends:
        return ""
    first, last = (choose(ends, key=lambda run: run.env_steps) for choose in (min, max))
    if last.env_steps - first.env_steps <= max(map(_between_evaluations, (first, last))):
        return ""
    return (
        f"the finished runs end between {ends[first]} and {ends[last]}; each counts with its own "
        f"last evaluations"
    )


def _between_evaluations(run: Run) -> float:
    """The usual number of environment steps from one evaluation to the next."""
    steps = np.append(0.0, run.curve[ENV_STEPS].to_numpy(float))
    return float(np.median(np.diff(steps)))


def _in_order(groups: Mapping[str, list[Run]]) -> list[tuple[str, list[Run]]]:
    return [(name, groups[name]) for name in in_order(groups)]


def _summary(
    experiment: str, group: str, runs: Sequence[Run], metric: str, intervals: bool
) -> GroupSummary:
    scores = final_scores(runs, metric)
    areas = [mean_over_steps(run, metric) for run in runs]
    whole = [area for area in areas if not np.isnan(area)]
    return GroupSummary(
        experiment=experiment,
        group=group,
        runs=len(scores),
        unfinished=sum(not run.finished for run in runs),
        median=median(scores.mean(axis=1)),
        iqm=iqm(scores) if intervals else None,
        area=float(np.median(whole)) if whole else float("nan"),
        hours=_hours(runs),
    )


def _hours(runs: Sequence[Run]) -> float:
    """The time of all runs up to their last evaluations, in hours."""
    column = axis_column(runs, TIME_AXIS)
    ends = [float(run.curve[column].iloc[-1]) for run in runs if len(run.curve)]
    return float(np.nansum(ends)) / 3600
