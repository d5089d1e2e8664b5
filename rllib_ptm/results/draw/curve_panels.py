"""Curves of groups over training: a panel per experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from rllib_ptm.results.curves import Curve
from rllib_ptm.results.draw.canvas import (
    BOLD,
    POINTS,
    Design,
    Sheet,
    draw_rates,
    fitted,
    sheet_with_legend,
    text_width,
    titled_sheet,
    wrapped,
)
from rllib_ptm.results.draw.style import THEMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 404.0, 190.0  # of a figure with one panel, and of its axes; in points
_WIDE, _COLUMNS = 560.0, 2  # of a figure with several
_LEFT, _RIGHT, _BELOW = 44.0, 14.0, 44.0
_LABEL_SIZE, _NAME_SIZE, _LINE = 10.0, 10.5, 12.5
_LEADER = 16.0  # points between a line's end and its label
_LONGEST = 17  # letters in a line of a label
_MARKERS = 8  # about so many on a line


@dataclass(frozen=True)
class Panel:
    """The curves of one experiment.

    Attributes:
        title: The experiment's name.
        curves: By group.
    """

    title: str
    curves: Mapping[str, Curve]


@dataclass(frozen=True)
class Scales:
    """What the axes show.

    Attributes:
        x: The name of the x axis.
        clock: The x axis is a time in seconds.
        rate: The values are rates between 0 and 1.
    """

    x: str
    clock: bool
    rate: bool


def draw_curves(panels: Sequence[Panel], scales: Scales, design: Design) -> Sheet:
    """Draws one panel with labels at the ends of its lines, or several below one legend."""
    if len(panels) == 1:
        return _one(panels[0], scales, design)
    return _several(panels, scales, design)


def _one(panel: Panel, scales: Scales, design: Design) -> Sheet:
    shown = {}
    for group, curve in panel.curves.items():
        label = design.labels[group]
        colon = ":" * ("=" in label)
        shown[group] = wrapped(f"{label}{colon} {_end_text(curve, scales.rate)}", _LONGEST)
    margin = _LEADER + 2 + max(text_width(label, _LABEL_SIZE) for label in shown.values())
    lines = sum(label.count("\n") + 1 for label in shown.values())
    height = max(_HEIGHT, lines * _LINE + len(shown) * _LINE / 3)
    width = max(_WIDTH, _LEFT + 0.55 * _WIDTH + margin + _RIGHT)
    sheet, top = titled_sheet(design, width, height + _BELOW)
    axes = sheet.axes(_LEFT, top, width - _LEFT - margin - _RIGHT, height)
    _draw_panel(axes, panel, scales, design)
    _label_ends(axes, panel, shown, design, height)
    return sheet


def _several(panels: Sequence[Panel], scales: Scales, design: Design) -> Sheet:
    rows = math.ceil(len(panels) / _COLUMNS)
    each = _WIDE / _COLUMNS
    titles = [fitted(panel.title, BOLD * _NAME_SIZE, each - 2 * _RIGHT) for panel in panels]
    header = 22.0 + max(title.count("\n") for title in titles) * _LINE
    row_height = header + 0.75 * _HEIGHT + _BELOW
    sheet, top = sheet_with_legend(design, _WIDE, rows * row_height)
    for number, panel in enumerate(panels):
        left = number % _COLUMNS * each
        above = top + number // _COLUMNS * row_height
        sheet.text(left + _RIGHT, above + 2, titles[number], fontweight="bold")
        axes = sheet.axes(left + _LEFT, above + header, each - _LEFT - _RIGHT, 0.75 * _HEIGHT)
        _draw_panel(axes, panel, scales, design)
    return sheet


def _draw_panel(axes: Axes, panel: Panel, scales: Scales, design: Design) -> None:
    from matplotlib.ticker import MaxNLocator

    for place, (group, curve) in enumerate(panel.curves.items()):
        _draw_curve(axes, curve, design, group, Fraction(place, len(panel.curves)))
    axes.margins(x=0)
    axes.set_xlim(left=0)
    largest = max(float(np.nanmax([*curve.value, *curve.high])) for curve in panel.curves.values())
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if scales.rate:
        axes.set_ylim(0, draw_rates(axes.yaxis, largest))
    axes.set_xlabel(scales.x, fontsize=9.5)
    _format(axes, scales, max(float(curve.x[-1]) for curve in panel.curves.values()))


def _format(axes: Axes, scales: Scales, end: float) -> None:
    from matplotlib.ticker import (
        EngFormatter,
        FuncFormatter,
        MaxNLocator,
        MultipleLocator,
    )

    axes.xaxis.set_major_locator(MaxNLocator(5))
    if scales.clock:
        unit, name = clock_unit(end)
        step = MaxNLocator(5).tick_values(0, end / unit)[1]
        axes.xaxis.set_major_locator(MultipleLocator(step * unit))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / unit:g}"))
        axes.set_xlabel(f"{scales.x}, {name}", fontsize=9.5)
    else:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def clock_unit(seconds: float) -> tuple[float, str]:
    """The unit for an axis that ends there: its length in seconds, and its name."""
    return (3600.0, "hours") if seconds > 3 * 3600 else (60.0, "minutes")


def _draw_curve(axes: Axes, curve: Curve, design: Design, group: str, shift: Fraction) -> None:
    """The line, the band, and markers; ``shift`` keeps them off those of other lines.

    Where the statistic is of fewer runs than elsewhere, the line is faint.
    """
    look, colour = design.looks[group], design.colour(group)
    axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
    every = max(1, round(len(curve.x) / _MARKERS))
    first = int(shift * every)
    whole = curve.count == curve.count.max()
    line: dict[str, Any] = {
        "color": colour,
        "linestyle": look.dash,
        "linewidth": 2,
        "clip_on": False,
        "zorder": 3,
    }
    if not whole.all():
        axes.plot(curve.x, curve.value, alpha=0.4, **line)
    axes.plot(
        curve.x[whole],
        curve.value[whole],
        marker=look.marker,
        markevery=(first, every),
        markersize=5.5,
        markeredgecolor=THEMES[design.theme].background,
        markeredgewidth=0.8,
        **line,
    )


def _end_text(curve: Curve, rate: bool) -> str:
    """The last value, for the label; a rate in per cent."""
    last = curve.value[-1]
    return f"{100 * last:.0f} %" if rate else f"{last:.3g}"


def _label_ends(
    axes: Axes,
    panel: Panel,
    labels: Mapping[str, str],
    design: Design,
    height: float,
) -> None:
    """Writes each label at the right, as near to its line's end as the others leave room."""
    bottom, top = axes.get_ylim()
    scale = height / (top - bottom)
    curves = panel.curves
    ends = {group: (float(curve.value[-1]) - bottom) * scale for group, curve in curves.items()}
    heights = {
        group: (label.count("\n") + 1) * _LINE + _LINE / 3 for group, label in labels.items()
    }
    places = spread(ends, heights, height)
    right = axes.get_xlim()[1]
    for group, curve in curves.items():
        colour = design.colour(group)
        at = bottom + places[group] / scale
        axes.annotate(
            labels[group],
            xy=(right, at),
            xytext=(_LEADER, 0),
            textcoords="offset points",
            color=colour,
            fontsize=_LABEL_SIZE,
            va="center",
            linespacing=1.1,
            annotation_clip=False,
        )
        _draw_leader(axes, curve, at, colour)
    axes.set_xlim(right=right)
    axes.set_ylim(bottom, top)


def _draw_leader(axes: Axes, curve: Curve, at: float, colour: str) -> None:
    """The line from a curve's end to the edge of the axes, and on to the label at a height."""
    right = axes.get_xlim()[1]
    x, y = float(curve.x[-1]), float(curve.value[-1])
    axes.plot(
        [x, right, right + _points_right(axes, _LEADER - 4)],
        [y, y, at],
        color=colour,
        linewidth=0.9,
        linestyle=(0, (1, 2)),
        clip_on=False,
        zorder=2,
    )


def _points_right(axes: Axes, points: float) -> float:
    """A length in points along the x axis, in units of the data."""
    left, right = axes.get_xlim()
    return points / (axes.bbox.width * POINTS / axes.figure.dpi) * (right - left)


def spread(
    wanted: Mapping[str, float], heights: Mapping[str, float], height: float
) -> dict[str, float]:
    """Moves labels apart until none overlaps another, each as little as possible.

    Args:
        wanted: Where the centre of each label should be.
        heights: The height of each label.
        height: The centres stay in such a way that labels are between 0 and this, if they fit.

    Returns:
        The centre of each label.
    """
    order = sorted(wanted, key=lambda group: wanted[group])
    clusters: list[tuple[list[str], float]] = []  # labels that touch, and the place of their middle
    for group in order:
        members, middle = [group], wanted[group]
        while True:
            size = sum(heights[member] for member in members)
            middle = min(max(middle, size / 2), max(height - size / 2, size / 2))
            if not clusters:
                break
            before, place = clusters[-1]
            reach = place + sum(heights[member] for member in before) / 2
            if reach <= middle - size / 2:
                break
            clusters.pop()
            total = len(before) + len(members)
            middle = (place * len(before) + middle * len(members)) / total
            members = before + members
        clusters.append((members, middle))
    places = {}
    for members, middle in clusters:
        edge = middle - sum(heights[member] for member in members) / 2
        for member in members:
            places[member] = edge + heights[member] / 2
            edge += heights[member]
    return places
