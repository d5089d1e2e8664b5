"""The sheet of a figure: its size, its titles, its legend, and the file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rllib_ptm.checks.errors import InputError
from rllib_ptm.results.draw.style import THEMES, Look, labels_of, looks_of, rc_settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Without dates and versions, equal data give equal files.
_METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
POINTS = 72.0  # in an inch
_DPI = 200
_TITLE_SIZE, _SUBTITLE_SIZE, _SUBTITLE_LINE = 12.0, 9.5, 13.0
_TITLE_LINE = 1.6 * _TITLE_SIZE
BOLD = 1.15  # a text is at most so much wider in bold
_TOP, _LEFT = 14.0, 14.0  # points above the title, and beside it
_LOW = 0.38  # an axis of rates that are all lower has more ticks


def check_figure_file(file: Path) -> None:
    """Checks before the work that the figure can be written after it.

    Raises:
        InputError: The file's ending is unknown, or there is no such folder.
    """
    if file.suffix not in _METADATA:
        raise InputError(
            f"--out: expected a file name that ends in {', '.join(_METADATA)}, found {str(file)!r}"
        )
    if not file.absolute().parent.is_dir():
        raise InputError(f"--out: there is no folder {str(file.parent)!r}")


@dataclass(frozen=True)
class Design:
    """What all parts of a figure share.

    Attributes:
        title: The figure's title.
        subtitle: What it shows, with line breaks.
        theme: A key of ``THEMES``.
        labels: The label of each group.
        looks: The look of each group.
    """

    title: str
    subtitle: str
    theme: str
    labels: Mapping[str, str]
    looks: Mapping[str, Look]

    @classmethod
    def of(cls, groups: Sequence[str], title: str, subtitle: str, theme: str) -> Design:
        """The design of a figure with these groups."""
        return cls(title, subtitle, theme, labels_of(groups), looks_of(groups))

    def colour(self, group: str) -> str:
        """The colour of a group."""
        return self.looks[group].colour(self.theme)


@dataclass
class Sheet:
    """An empty figure with a theme. All lengths are in points.

    Attributes:
        figure: The figure of matplotlib.
        theme: The name of the theme.
        width: Of the whole figure.
        height: Of the whole figure.
    """

    figure: Figure
    theme: str
    width: float
    height: float

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place, which is measured from the upper left corner."""
        bottom = self.height - top - height
        box = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box)

    def text(self, left: float, top: float, text: str, **how: Any) -> None:
        """Text whose upper left corner is at a place."""
        x, y = left / self.width, 1 - top / self.height
        self.figure.text(x, y, text, va="top", ha="left", **how)

    def titles(self, title: str, subtitle: str, left: float = _LEFT) -> None:
        """The title, and what the figure shows below it."""
        for number, line in enumerate(title.split("\n")):
            above = _TOP + number * _TITLE_LINE
            self.text(left, above, line, fontsize=_TITLE_SIZE, fontweight="bold")
        muted = THEMES[self.theme].muted
        top = _TOP + (title.count("\n") + 1) * _TITLE_LINE
        for number, line in enumerate(subtitle.split("\n")):
            below = top + number * _SUBTITLE_LINE
            self.text(left, below, line, fontsize=_SUBTITLE_SIZE, color=muted)


def titles_height(title: str, subtitle: str) -> float:
    """The height in points that the titles take."""
    lines, more = title.count("\n") + 1, subtitle.count("\n") + 1
    return _TOP + lines * _TITLE_LINE + more * _SUBTITLE_LINE + 12


@contextmanager
def styled(theme: str) -> Iterator[None]:
    """A context in which matplotlib has a theme's settings, and none of the user's own."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(rc_settings(theme))
        yield


def titled_sheet(design: Design, width: float, height: float) -> tuple[Sheet, float]:
    """A figure with its titles alone.

    Args:
        design: The figure's design.
        width: In points.
        height: What is needed below the titles, in points.

    Returns:
        The sheet, and where the titles end.
    """
    from matplotlib.figure import Figure

    room = width - 2 * _LEFT
    title = fitted(design.title, BOLD * _TITLE_SIZE, room)
    lines = [fitted(line, _SUBTITLE_SIZE, room) for line in design.subtitle.split("\n")]
    subtitle = "\n".join(lines)
    top = titles_height(title, subtitle)
    figure = Figure(figsize=(width / POINTS, (top + height) / POINTS), dpi=_DPI)
    sheet = Sheet(figure, design.theme, width, top + height)
    sheet.titles(title, subtitle)
    return sheet, top


def sheet_with_legend(
    design: Design, width: float, height: float, *, bars: bool = False
) -> tuple[Sheet, float]:
    """A figure with its titles and, below them, a legend.

    Args:
        design: The figure's design.
        width: In points.
        height: What is needed below the legend, in points.
        bars: The legend shows bars, not lines.

    Returns:
        The sheet, and where the legend ends.
    """
    legend = legend_of(design.labels, _LEFT, width - _LEFT)
    sheet, top = titled_sheet(design, width, legend.height + height)
    draw_legend(sheet, legend, design.looks, top, bars=bars)
    return sheet, top + legend.height


def save(sheet: Sheet, file: Path) -> None:
    """Writes a figure, in the format of the file's ending; equal figures give equal bytes.

    Raises:
        InputError: The file cannot be written.
    """
    try:
        sheet.figure.savefig(file, metadata=_METADATA[file.suffix])
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from None


@lru_cache(maxsize=1024)  # measuring takes milliseconds
def text_width(text: str, size: float) -> float:
    """The width of a text's longest line, in points."""
    from matplotlib.textpath import TextPath

    lines = [line for line in text.split("\n") if line.strip()]
    return max((TextPath((0, 0), line, size=size).get_extents().width for line in lines), default=0)


def wrapped(text: str, longest: int) -> str:
    """The text with line breaks at blanks, so that lines have about ``longest`` letters.

    There are none around ``=``, nor before ``%``.
    """
    words = re.split(r"(?<!=) (?![=%])", text)
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > longest:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return "\n".join(lines)


def fitted(text: str, size: float, width: float) -> str:
    """The text with as few line breaks as its lines need to fit a width, in points.

    A word that is too long alone is broken, too.
    """
    needed = text_width(text, size)
    if needed <= width:
        return text
    # A line of letters of average width would have so many. Narrow letters may have a few more.
    average = math.ceil(1.1 * len(text) * width / needed)
    for longest in range(min(average, len(text)), 0, -1):
        lines = [
            part for line in wrapped(text, longest).split("\n") for part in _parts(line, longest)
        ]
        if max(text_width(line, size) for line in lines) <= width:
            return "\n".join(lines)
    return text


def _parts(word: str, longest: int) -> list[str]:
    return [word[start : start + longest] for start in range(0, len(word), longest)]


class Entry(NamedTuple):
    """A group in a legend.

    Attributes:
        group: Its name.
        lines: The lines of its label.
        left: Where its sample begins, in points.
        row: How many lines of labels are above it.
    """

    group: str
    lines: Sequence[str]
    left: float
    row: int


@dataclass(frozen=True)
class Legend:
    """The groups of a figure in rows below its titles.

    Attributes:
        entries: A group each.
        height: In points.
    """

    entries: Sequence[Entry]
    height: float


_SAMPLE, _BAR_SAMPLE, _GAP, _ROW, _LEGEND_SIZE = 26.0, 18.0, 16.0, 17.0, 10.0
_BESIDE = 5.0  # points between a sample and its label


def legend_of(labels: Mapping[str, str], left: float, width: float) -> Legend:
    """Arranges labels in rows that fit a width.

    Args:
        labels: The label of each group.
        left: Where a row begins, in points.
        width: Where it must end. A label that is longer than a row has several lines.
    """
    entries: list[Entry] = []
    x, row, below = left, 0, 0
    for group, label in labels.items():
        beside = _SAMPLE + _BESIDE
        lines = fitted(label, _LEGEND_SIZE, width - left - beside).split("\n")
        needed = beside + max(text_width(line, _LEGEND_SIZE) for line in lines)
        if x > left and x + needed > width:
            x, row = left, below
        entries.append(Entry(group, lines, x, row))
        below = max(below, row + len(lines))
        x += needed + _GAP
    return Legend(entries, below * _ROW + 8)


def draw_legend(
    sheet: Sheet, legend: Legend, looks: Mapping[str, Look], top: float, *, bars: bool = False
) -> None:
    """Draws samples of the lines, or of the bars, and the labels."""
    for entry in legend.entries:
        draw_sample = _draw_bar_sample if bars else _draw_line_sample
        heights = [
            1 - (top + (entry.row + n + 0.5) * _ROW) / sheet.height for n in range(len(entry.lines))
        ]
        right = draw_sample(sheet, looks[entry.group], entry.left, heights[0])
        x = right + _BESIDE / sheet.width
        for line, y in zip(entry.lines, heights, strict=True):
            how: dict[str, Any] = {"va": "center_baseline", "ha": "left", "fontsize": _LEGEND_SIZE}
            sheet.figure.text(x, y, line, **how)


def _draw_bar_sample(sheet: Sheet, look: Look, left: float, y: float) -> float:
    """Draws a bar at a height of the figure, and returns where it ends."""
    from matplotlib.patches import Rectangle

    height, width = 9 / sheet.height, _BAR_SAMPLE / sheet.width
    corner = (left / sheet.width, y - height / 2)
    sheet.figure.add_artist(Rectangle(corner, width, height, **bar_style(look, sheet.theme)))
    return (left + _BAR_SAMPLE) / sheet.width


def _draw_line_sample(sheet: Sheet, look: Look, left: float, y: float) -> float:
    """Draws a line at a height of the figure, and returns where it ends."""
    from matplotlib.lines import Line2D

    start, end = left / sheet.width, (left + _SAMPLE) / sheet.width
    line = Line2D(
        [start, (start + end) / 2, end],
        [y] * 3,
        color=look.colour(sheet.theme),
        linestyle=look.dash,
        linewidth=2,
        marker=look.marker,
        markevery=[1],
        markersize=6,
        markeredgecolor=THEMES[sheet.theme].background,
        markeredgewidth=0.8,
    )
    sheet.figure.add_artist(line)
    return end


def bar_style(look: Look, theme: str) -> dict[str, Any]:
    """How a group's bars are filled. Hatches are drawn in the colour of the background."""
    return {
        "facecolor": look.colour(theme),
        "edgecolor": THEMES[theme].background,
        "hatch": look.hatch,
        "linewidth": 0,
    }


def draw_rates(axis: Axis, largest: float) -> float:
    """Gives an axis of rates its ticks, in per cent.

    Args:
        axis: The x or the y axis.
        largest: The largest rate that is drawn.

    Returns:
        Where the axis should end: at 100 %, or at a tick above the largest rate.
    """
    from matplotlib.ticker import MultipleLocator, PercentFormatter

    step = 0.1 if largest < _LOW else 0.2
    axis.set_major_locator(MultipleLocator(step))
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    return min(1.0, step * math.ceil(1.03 * largest / step))
