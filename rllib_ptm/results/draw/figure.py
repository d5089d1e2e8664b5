"""Draws one of the figures of some runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rllib_ptm.checks.errors import InputError, unknown_name
from rllib_ptm.results.curves import STEPS_AXIS, axis_column, group_curve
from rllib_ptm.results.draw.canvas import Design, Sheet, check_figure_file, save, styled
from rllib_ptm.results.draw.comparisons import draw_improvements, draw_profiles
from rllib_ptm.results.draw.curve_panels import Panel, Scales, draw_curves
from rllib_ptm.results.draw.style import LIGHT, check_theme, in_order
from rllib_ptm.results.draw.task_bars import TaskRates, draw_tasks
from rllib_ptm.results.runs import BY_VARIANT, Run, Runs
from rllib_ptm.results.statistics import (
    IQM,
    MEDIAN,
    STATISTICS,
    columns_of,
    estimate,
    final_scores,
    performance_profiles,
    probability_of_improvement,
)
from rllib_ptm.results.trials import ENV_STEPS, OF_TASK, PROCESSOR_TIME, TIME, UPDATES
from rllib_ptm.tasks.metrics import WIN_RATE, WIN_RATE_MEAN

CURVES = "curves"
_THRESHOLDS = np.linspace(0, 1, 101)
_AXIS_NAMES = {
    ENV_STEPS: "environment steps",
    UPDATES: "updates",
    TIME: "time",
    PROCESSOR_TIME: "processor time",
}
_RANGES = {MEDIAN: "25–75 %", IQM: "95 % interval"}
_STATISTIC_NAMES = {MEDIAN: "median", IQM: "interquartile mean"}


@dataclass(frozen=True)
class FigureSettings:
    """What is drawn, and how.

    Attributes:
        figure: A key of ``FIGURES``.
        by: What makes a group; see ``Runs.groups``.
        statistic: ``median`` (with 25-75 %) or ``iqm`` (with a 95 % interval).
        metric: See ``Run.values``.
        axis: ``steps``, ``time`` or ``updates``.
        theme: ``light`` or ``dark``.
        title: None = the names of the experiments.
        joined: Runs of different experiments are in one panel.
    """

    figure: str = CURVES
    by: str = BY_VARIANT
    statistic: str = MEDIAN
    metric: str = WIN_RATE_MEAN
    axis: str = STEPS_AXIS
    theme: str = LIGHT
    title: str | None = None
    joined: bool = False


def draw_figure(runs: Runs, out: str | Path, settings: FigureSettings | None = None) -> None:
    """Draws a figure of some runs, and writes it. Equal runs give equal files.

    Args:
        runs: What ``read_runs`` returns.
        out: A PNG, SVG or PDF file.
        settings: What is drawn, and how.

    Raises:
        InputError: A setting cannot be used with these runs, or the file cannot be written.

    Examples:
        >>> draw_figure(read_runs(["results"]), "figure.svg", FigureSettings(statistic="iqm"))
    """
    chosen, file = settings or FigureSettings(), Path(out)
    check_figure_file(file)
    check_settings(chosen)
    if not len(runs):
        raise InputError("there is no run to draw")
    if chosen.joined:
        runs = runs.joined()
    with styled(chosen.theme):
        save(FIGURES[chosen.figure](runs, chosen), file)


def check_settings(settings: FigureSettings) -> None:
    """Checks the settings that have a few legal values.

    Raises:
        InputError: One has another value.
    """
    check_theme(settings.theme)
    if settings.figure not in FIGURES:
        raise unknown_name("--figure", settings.figure, FIGURES)
    if settings.statistic not in STATISTICS:
        raise unknown_name("--statistic", settings.statistic, STATISTICS)
    axis_column((), settings.axis)


def _curves(runs: Runs, settings: FigureSettings) -> Sheet:
    column = axis_column(runs.runs, settings.axis)
    panels = []
    for experiment in runs.experiments:
        groups = _ordered(runs.of(experiment).groups(settings.by))
        found = {
            name: curve
            for name, of in groups.items()
            if (curve := group_curve(of, settings.metric, column, settings.statistic)) is not None
        }
        if found:
            panels.append(Panel(experiment, found))
    if not panels:
        raise InputError(
            f"--metric {settings.metric}: no run has two values of it yet, so there is no curve"
        )
    names = in_order({group: 0 for panel in panels for group in panel.curves})
    curves = [curve for panel in panels for curve in panel.curves.values()]
    counts = _count_text([int(curve.count.max()) for curve in curves])
    statistic = f"{_STATISTIC_NAMES[settings.statistic]} and {_RANGES[settings.statistic]}"
    faint = any(curve.count.min() < curve.count.max() for curve in curves)
    metric, title = _metric_text(settings.metric), settings.title or panels[0].title
    if len(panels) > 1 and not settings.title:
        title, metric = metric[0].upper() + metric[1:], ""
    mixed = settings.metric == WIN_RATE_MEAN and _on_different_tasks(runs)
    lines = [
        metric,
        f"{statistic} of {counts}",
        "faint: not all runs are there" * faint,
        "the runs of a panel are evaluated on different tasks" * mixed,
    ]
    scales = Scales(
        x=_AXIS_NAMES[column],
        clock=column in (TIME, PROCESSOR_TIME),
        rate=_is_rate(settings.metric),
    )
    subtitle = "\n".join(filter(None, lines))
    return draw_curves(panels, scales, Design.of(names, title, subtitle, settings.theme))


def _on_different_tasks(runs: Runs) -> bool:
    """Whether the runs of one experiment were evaluated on different tasks."""
    experiments = map(runs.of, runs.experiments)
    return any(len({run.tasks for run in of if run.tasks}) > 1 for of in experiments)


def _tasks(runs: Runs, settings: FigureSettings) -> Sheet:
    _only_win_rates(settings)
    groups = _groups_of_one(runs, settings)
    columns = columns_of(runs.runs, WIN_RATE_MEAN)
    if not columns:
        raise InputError("--figure tasks: no run has an evaluation with the win rates of tasks yet")
    found = {}
    for name, of in groups.items():
        scores = final_scores(of)
        by_task = [
            estimate(scores[:, [place]], settings.statistic) for place in range(len(columns))
        ]
        rates = replace(
            by_task[0],
            **{key: np.array([getattr(one, key) for one in by_task]) for key in vars(by_task[0])},
        )
        found[name] = TaskRates(scores, rates)
    tasks = [column.removeprefix(OF_TASK) for column in columns]
    how = f"{_STATISTIC_NAMES[settings.statistic]} of the last three evaluations"
    ranges = _RANGES[settings.statistic]
    what = f"win rate by task: {how}\nline: {ranges}; circles: {_count(runs)}"
    return draw_tasks(tasks, found, _design(found, runs, settings, what))


def _profiles(runs: Runs, settings: FigureSettings) -> Sheet:
    _only_win_rates(settings)
    scores = _scores(runs, settings)
    profiles = performance_profiles(scores, _THRESHOLDS)
    what = f"share of runs and tasks with a win rate above τ, with 95 % intervals\n{_count(runs)}"
    return draw_profiles(_THRESHOLDS, profiles, _design(scores, runs, settings, what))


def _improvement(runs: Runs, settings: FigureSettings) -> Sheet:
    scores = _scores(runs, settings)
    names = list(scores)
    if len(names) < 2:
        raise InputError(f"--figure improvement: expected at least two groups, found {len(names)}")
    pairs = [
        (one, other, probability_of_improvement(scores[one], scores[other]))
        for one, other in itertools.combinations(names, 2)
    ]
    what = f"probability of improvement, mean over tasks, with 95 % intervals\n{_count(runs)}"
    return draw_improvements(pairs, _design(names, runs, settings, what))


FIGURES: dict[str, Callable[[Runs, FigureSettings], Sheet]] = {
    CURVES: _curves,
    "tasks": _tasks,
    "profiles": _profiles,
    "improvement": _improvement,
}


def _groups_of_one(runs: Runs, settings: FigureSettings) -> dict[str, list[Run]]:
    """The groups of the one experiment that such a figure has room for."""
    if len(runs.experiments) > 1:
        raise InputError(
            f"--figure {settings.figure}: expected one experiment, found "
            f"{', '.join(runs.experiments)}; with --join their runs are taken together"
        )
    return _ordered(runs.groups(settings.by))


def _ordered(groups: Mapping[str, list[Run]]) -> dict[str, list[Run]]:
    return {name: groups[name] for name in in_order(groups)}


def _scores(runs: Runs, settings: FigureSettings) -> dict[str, np.ndarray]:
    """The score matrix of each group that has one."""
    columns_of(runs.runs, settings.metric)
    groups = _groups_of_one(runs, settings)
    found = {name: final_scores(of, settings.metric) for name, of in groups.items()}
    scores = {name: matrix for name, matrix in found.items() if len(matrix)}
    if not scores:
        raise InputError(f"--metric {settings.metric}: no run has a value of it yet")
    return scores


def _only_win_rates(settings: FigureSettings) -> None:
    if settings.metric != WIN_RATE_MEAN:
        raise InputError(
            f"--metric: --figure {settings.figure} shows the win rates of all tasks, found "
            f"{settings.metric!r}"
        )


def _is_rate(metric: str) -> bool:
    return WIN_RATE in metric


def _design(groups: Iterable[str], runs: Runs, settings: FigureSettings, what: str) -> Design:
    title = settings.title or ", ".join(runs.experiments)
    return Design.of(list(groups), title, what, settings.theme)


def _metric_text(metric: str) -> str:
    if metric == WIN_RATE_MEAN:
        return "win rate, mean over tasks"
    if metric.startswith(OF_TASK):
        return f"win rate on {metric.removeprefix(OF_TASK)}"
    return metric


def _count(runs: Runs) -> str:
    return f"{len(runs)} runs in all"


def _count_text(runs: Sequence[int]) -> str:
    numbers = sorted(set(runs))
    if len(numbers) == 1:
        return f"{numbers[0]} run" if numbers[0] == 1 else f"{numbers[0]} runs"
    return f"{numbers[0]} to {numbers[-1]} runs"
