"""Win rates by task: bars for a few tasks, rows of points for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rllib_ptm.results.draw.canvas import (
    Design,
    Sheet,
    bar_style,
    draw_rates,
    sheet_with_legend,
    text_width,
)
from rllib_ptm.results.draw.style import THEMES
from rllib_ptm.results.statistics import Estimate

_WIDTH, _HEIGHT = 404.0, 180.0  # of the figure, and of its axes; in points
_LEFT, _RIGHT, _BELOW = 44.0, 14.0, 30.0
_MOST_BARS = 24  # more are rows of points
_BAR_SPACE = 13.0  # points for a bar
_NAME_SIZE = 9.5


@dataclass(frozen=True)
class TaskRates:
    """The win rates of one group.

    Attributes:
        runs: [runs, tasks] of each run.
        rates: Over runs; each array is over tasks.
    """

    runs: np.ndarray
    rates: Estimate


def draw_tasks(tasks: Sequence[str], groups: Mapping[str, TaskRates], design: Design) -> Sheet:
    """Draws the win rate of each task by group.

    Args:
        tasks: The names of the tasks.
        groups: Their rates by group.
        design: The figure's design.
    """
    few = len(tasks) * len(groups) <= _MOST_BARS
    return (_bars if few else _rows)(tasks, groups, design)


def _bars(tasks: Sequence[str], groups: Mapping[str, TaskRates], design: Design) -> Sheet:
    names = [task.replace("_vs_", "\nvs ") for task in tasks]
    width = max(_WIDTH, _LEFT + _RIGHT + _BAR_SPACE * len(tasks) * (len(groups) + 1))
    below = _BELOW + (12 if any("\n" in name for name in names) else 0)
    sheet, top = sheet_with_legend(design, width, _HEIGHT + below, bars=True)
    axes = sheet.axes(_LEFT, top, width - _LEFT - _RIGHT, _HEIGHT)
    share = 0.8 / len(groups)
    theme, text = design.theme, THEMES[design.theme].text
    for place, (group, of) in enumerate(groups.items()):
        x = np.arange(len(tasks)) + (place - (len(groups) - 1) / 2) * share
        axes.bar(x, of.rates.value, 0.9 * share, **bar_style(design.looks[group], theme))
        axes.vlines(x, of.rates.low, of.rates.high, color=text, linewidth=1.3, zorder=3)
        spots: dict[str, Any] = {"s": 7, "facecolor": THEMES[theme].background, "edgecolor": text}
        for run in of.runs:
            axes.scatter(x, run, linewidth=0.6, zorder=4, clip_on=False, **spots)
    axes.set_xticks(np.arange(len(tasks)), names, color=text)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.55, len(tasks) - 0.45)
    highest = max(float(np.nanmax(of.runs)) for of in groups.values() if of.runs.size)
    axes.set_ylim(0, draw_rates(axes.yaxis, highest))
    return sheet


def _rows(tasks: Sequence[str], groups: Mapping[str, TaskRates], design: Design) -> Sheet:
    """A row per task, the easiest first, with a point and its range for each group."""
    means = np.nanmean([of.rates.value for of in groups.values()], axis=0)
    order = np.argsort(-means, kind="stable")
    row = max(13.0, 5.0 * len(groups) + 3.0)
    left = 22 + max(text_width(task, _NAME_SIZE) for task in tasks)
    sheet, top = sheet_with_legend(design, _WIDTH, row * len(tasks) + _BELOW)
    theme = THEMES[design.theme]
    axes = sheet.axes(left, top, _WIDTH - left - 2 * _RIGHT, row * len(tasks))
    for place, (group, of) in enumerate(groups.items()):
        colour = design.colour(group)
        y = np.arange(len(tasks)) + (place - (len(groups) - 1) / 2) * 0.72 / len(groups)
        low, high = of.rates.low[order], of.rates.high[order]
        axes.hlines(y, low, high, color=colour, linewidth=1.4, alpha=0.75, zorder=2)
        marker: dict[str, Any] = {
            "marker": design.looks[group].marker,
            "markersize": 5.5,
            "color": colour,
        }
        edge: dict[str, Any] = {"markeredgecolor": theme.background, "markeredgewidth": 0.7}
        axes.plot(
            of.rates.value[order], y, linestyle="none", zorder=3, clip_on=False, **marker, **edge
        )
    axes.set_yticks(np.arange(len(tasks)), [tasks[number] for number in order])
    axes.tick_params(axis="y", labelsize=_NAME_SIZE, labelcolor=theme.text)
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    axes.set_xlim(0, draw_rates(axes.xaxis, 1.0))
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    for stripe in range(0, len(tasks), 2):
        axes.axhspan(stripe - 0.5, stripe + 0.5, color=theme.grid, alpha=0.45, linewidth=0)
    return sheet
