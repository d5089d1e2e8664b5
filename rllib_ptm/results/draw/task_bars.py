"""Win rates by task: bars for a few tasks, rows of points for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rllib_ptm.results.draw.canvas import (
    Sheet,
    bar_style,
    draw_legend,
    draw_rates,
    empty_sheet,
    legend_of,
    text_width,
    titles_height,
)
from rllib_ptm.results.draw.style import THEMES, Look
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


def draw_tasks(
    tasks: Sequence[str],
    groups: Mapping[str, TaskRates],
    labels: Mapping[str, str],
    looks: Mapping[str, Look],
    titles: tuple[str, str],
    theme: str,
) -> Sheet:
    """Draws the win rate of each task by group.

    Args:
        tasks: The names of the tasks.
        groups: Their rates by group.
        labels: The label of each group.
        looks: The look of each group.
        titles: The title, and the line below it.
        theme: A key of ``THEMES``.
    """
    few = len(tasks) * len(groups) <= _MOST_BARS
    return (_bars if few else _rows)(tasks, groups, labels, looks, titles, theme)


def _bars(
    tasks: Sequence[str],
    groups: Mapping[str, TaskRates],
    labels: Mapping[str, str],
    looks: Mapping[str, Look],
    titles: tuple[str, str],
    theme: str,
) -> Sheet:
    names = [task.replace("_vs_", "\nvs ") for task in tasks]
    width = max(_WIDTH, _LEFT + _RIGHT + _BAR_SPACE * len(tasks) * (len(groups) + 1))
    legend = legend_of(labels, 14.0, width - _RIGHT)
    above = titles_height(titles[1])
    below = _BELOW + (12 if any("\n" in name for name in names) else 0)
    sheet = empty_sheet(theme, width, above + legend.height + _HEIGHT + below)
    sheet.titles(*titles)
    draw_legend(sheet, legend, looks, above, bars=True)
    axes = sheet.axes(_LEFT, above + legend.height, width - _LEFT - _RIGHT, _HEIGHT)
    share = 0.8 / len(groups)
    text = THEMES[theme].text
    for place, (group, of) in enumerate(groups.items()):
        x = np.arange(len(tasks)) + (place - (len(groups) - 1) / 2) * share
        axes.bar(x, of.rates.value, 0.9 * share, **bar_style(looks[group], theme))
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


def _rows(
    tasks: Sequence[str],
    groups: Mapping[str, TaskRates],
    labels: Mapping[str, str],
    looks: Mapping[str, Look],
    titles: tuple[str, str],
    theme: str,
) -> Sheet:
    """A row per task, the easiest first, with a point and its range for each group."""
    means = np.nanmean([of.rates.value for of in groups.values()], axis=0)
    order = np.argsort(-means, kind="stable")
    legend = legend_of(labels, 14.0, _WIDTH - _RIGHT)
    row = max(13.0, 5.0 * len(groups) + 3.0)
    above = titles_height(titles[1]) + legend.height
    left = 22 + max(text_width(task, _NAME_SIZE) for task in tasks)
    sheet = empty_sheet(theme, _WIDTH, above + row * len(tasks) + _BELOW)
    sheet.titles(*titles)
    draw_legend(sheet, legend, looks, above - legend.height)
    axes = sheet.axes(left, above, _WIDTH - left - 2 * _RIGHT, row * len(tasks))
    for place, (group, of) in enumerate(groups.items()):
        colour = looks[group].colour(theme)
        y = np.arange(len(tasks)) + (place - (len(groups) - 1) / 2) * 0.72 / len(groups)
        low, high = of.rates.low[order], of.rates.high[order]
        axes.hlines(y, low, high, color=colour, linewidth=1.4, alpha=0.75, zorder=2)
        marker: dict[str, Any] = {"marker": looks[group].marker, "markersize": 5.5, "color": colour}
        edge: dict[str, Any] = {"markeredgecolor": THEMES[theme].background, "markeredgewidth": 0.7}
        axes.plot(
            of.rates.value[order], y, linestyle="none", zorder=3, clip_on=False, **marker, **edge
        )
    axes.set_yticks(np.arange(len(tasks)), [tasks[number] for number in order])
    axes.tick_params(axis="y", labelsize=_NAME_SIZE, labelcolor=THEMES[theme].text)
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    axes.set_xlim(0, draw_rates(axes.xaxis, 1.0))
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    for stripe in range(0, len(tasks), 2):
        axes.axhspan(stripe - 0.5, stripe + 0.5, color=THEMES[theme].grid, alpha=0.45, linewidth=0)
    return sheet
