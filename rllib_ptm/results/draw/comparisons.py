"""Comparisons of groups: performance profiles, and probabilities of improvement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rllib_ptm.results.draw.canvas import (
    Design,
    Sheet,
    draw_rates,
    sheet_with_legend,
    text_width,
    titled_sheet,
)
from rllib_ptm.results.draw.style import THEMES
from rllib_ptm.results.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 404.0, 190.0  # of the figure, and of its axes; in points
_LEFT, _RIGHT, _BELOW = 44.0, 16.0, 44.0
_ROW, _NAME_SIZE, _AXIS_SIZE = 24.0, 10.0, 9.5
_MARKERS = 9
_AWAY = 11.0  # points between the axes and a name


def draw_profiles(
    thresholds: np.ndarray, profiles: Mapping[str, Estimate], design: Design
) -> Sheet:
    """Draws the share of runs and tasks above each win rate.

    Args:
        thresholds: The win rates.
        profiles: The shares by group, over the thresholds.
        design: The figure's design.
    """
    sheet, top = sheet_with_legend(design, _WIDTH, _HEIGHT + _BELOW)
    axes = sheet.axes(_LEFT, top, _WIDTH - _LEFT - _RIGHT, _HEIGHT)
    every = max(1, round(len(thresholds) / _MARKERS))
    for place, (group, of) in enumerate(profiles.items()):
        look, colour = design.looks[group], design.colour(group)
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
            markeredgecolor=THEMES[design.theme].background,
            markeredgewidth=0.8,
            clip_on=False,
        )
    axes.set_xlim(0, draw_rates(axes.xaxis, 1.0))
    axes.set_ylim(0, draw_rates(axes.yaxis, 1.0))
    axes.set_xlabel("win rate τ", fontsize=_AXIS_SIZE)
    return sheet


def draw_improvements(pairs: Sequence[tuple[str, str, Estimate]], design: Design) -> Sheet:
    """Draws a row per pair: how probable it is that a run of the left group beats one of the right.

    Args:
        pairs: The two groups, and the probability.
        design: The figure's design.
    """
    left, right = (
        10 + _AWAY + max(text_width(design.labels[group], _NAME_SIZE) for group in groups)
        for groups in ([one for one, _, _ in pairs], [other for _, other, _ in pairs])
    )
    height = _ROW * len(pairs)
    width = max(_WIDTH, left + right + 0.4 * _WIDTH)
    sheet, top = titled_sheet(design, width, height + _BELOW)
    axes, theme = sheet.axes(left, top, width - left - right, height), THEMES[design.theme]
    for y, (one, other, of) in enumerate(pairs):
        colour = design.colour(one)
        axes.hlines(y, of.low, of.high, color=colour, linewidth=6, alpha=0.35, zorder=2)
        axes.plot(
            of.value,
            y,
            marker=design.looks[one].marker,
            markersize=8,
            color=colour,
            zorder=3,
            markeredgecolor=theme.background,
            clip_on=False,
        )
        _name(axes, design, one, (0, y), -_AWAY)
        _name(axes, design, other, (1, y), _AWAY)
    axes.axvline(0.5, color=theme.muted, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    axes.set_xlim(0, draw_rates(axes.xaxis, 1.0))
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.set_xlabel("probability that left beats right", fontsize=_AXIS_SIZE)
    return sheet


def _name(axes: Axes, design: Design, group: str, at: tuple[float, float], away: float) -> None:
    """Writes a group's label beside a place, so many points to the right, or to the left if < 0."""
    axes.annotate(
        design.labels[group],
        at,
        (away, 0),
        xycoords="data",
        textcoords="offset points",
        ha="left" if away > 0 else "right",
        va="center",
        fontsize=_NAME_SIZE,
        color=design.colour(group),
    )
