"""Comparisons of groups: performance profiles, and probabilities of improvement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rllib_ptm.results.draw.canvas import (
    Sheet,
    draw_legend,
    draw_rates,
    empty_sheet,
    legend_of,
    text_width,
    titles_height,
)
from rllib_ptm.results.draw.style import THEMES, Look
from rllib_ptm.results.statistics import Estimate

_WIDTH, _HEIGHT = 404.0, 190.0  # of the figure, and of its axes; in points
_LEFT, _RIGHT, _BELOW = 44.0, 16.0, 44.0
_ROW, _NAME_SIZE, _AXIS_SIZE = 24.0, 10.0, 9.5
_MARKERS = 9
_AWAY = 11.0  # points between the axes and a name


def draw_profiles(
    thresholds: np.ndarray,
    profiles: Mapping[str, Estimate],
    labels: Mapping[str, str],
    looks: Mapping[str, Look],
    titles: tuple[str, str],
    theme: str,
) -> Sheet:
    """Draws the share of runs and tasks above each win rate.

    Args:
        thresholds: The win rates.
        profiles: The shares by group, over the thresholds.
        labels: The label of each group.
        looks: The look of each group.
        titles: The title, and the line below it.
        theme: A key of ``THEMES``.
    """
    legend = legend_of(labels, 14.0, _WIDTH - _RIGHT)
    above = titles_height(titles[1])
    sheet = empty_sheet(theme, _WIDTH, above + legend.height + _HEIGHT + _BELOW)
    sheet.titles(*titles)
    draw_legend(sheet, legend, looks, above)
    axes = sheet.axes(_LEFT, above + legend.height, _WIDTH - _LEFT - _RIGHT, _HEIGHT)
    every = max(1, round(len(thresholds) / _MARKERS))
    for place, (group, of) in enumerate(profiles.items()):
        look, colour = looks[group], looks[group].colour(theme)
        band: dict[str, Any] = {"color": colour, "alpha": 0.16, "linewidth": 0, "step": "post"}
        axes.fill_between(thresholds, of.low, of.high, **band)
        axes.step(
            thresholds,
            of.value,
            where="post",
            color=colour,
            linestyle=look.dash,
            linewidth=2,
            marker=look.marker,
            markevery=(place * every // len(profiles), every),
            markersize=5.5,
            markeredgecolor=THEMES[theme].background,
            markeredgewidth=0.8,
            clip_on=False,
        )
    axes.set_xlim(0, draw_rates(axes.xaxis, 1.0))
    axes.set_ylim(0, draw_rates(axes.yaxis, 1.0))
    axes.set_xlabel("win rate τ", fontsize=_AXIS_SIZE)
    return sheet


def draw_improvements(
    pairs: Sequence[tuple[str, str, Estimate]],
    labels: Mapping[str, str],
    looks: Mapping[str, Look],
    titles: tuple[str, str],
    theme: str,
) -> Sheet:
    """Draws a row per pair: how probable it is that a run of the left group beats one of the right.

    Args:
        pairs: The two groups, and the probability.
        labels: The label of each group.
        looks: The look of each group.
        titles: The title, and the line below it.
        theme: A key of ``THEMES``.
    """
    left_names, right_names = [labels[one] for one, _, _ in pairs], [labels[b] for _, b, _ in pairs]
    left, right = (
        10 + _AWAY + max(text_width(name, _NAME_SIZE) for name in names)
        for names in (left_names, right_names)
    )
    above, height = titles_height(titles[1]), _ROW * len(pairs)
    width = max(_WIDTH, left + right + 0.4 * _WIDTH)
    sheet = empty_sheet(theme, width, above + height + _BELOW)
    sheet.titles(*titles)
    axes = sheet.axes(left, above, width - left - right, height)
    for y, (one, other, of) in enumerate(pairs):
        colour = looks[one].colour(theme)
        axes.hlines(y, of.low, of.high, color=colour, linewidth=6, alpha=0.35, zorder=2)
        axes.plot(
            of.value,
            y,
            marker=looks[one].marker,
            markersize=8,
            color=colour,
            zorder=3,
            markeredgecolor=THEMES[theme].background,
            clip_on=False,
        )
        for group, x, away, aligned in ((one, 0, -_AWAY, "right"), (other, 1, _AWAY, "left")):
            axes.annotate(
                labels[group],
                (x, y),
                (away, 0),
                xycoords="data",
                textcoords="offset points",
                ha=aligned,
                va="center",
                fontsize=_NAME_SIZE,
                color=looks[group].colour(theme),
            )
    axes.axvline(0.5, color=THEMES[theme].muted, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    axes.set_xlim(0, draw_rates(axes.xaxis, 1.0))
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.set_xlabel("probability that left beats right", fontsize=_AXIS_SIZE)
    return sheet
