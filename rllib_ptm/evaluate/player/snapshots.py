"""A figure of several moments of an episode: a row for each policy, a column for each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rllib_ptm.environment.scenes.scene import ALLY, ENEMY, OTHER, Scene
from rllib_ptm.evaluate.player.watched import Watched
from rllib_ptm.results.draw.canvas import Design, Sheet, save, styled, text_width, titled_sheet
from rllib_ptm.results.draw.style import LIGHT, THEMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE_COLOURS = {ALLY: "#1f6fd0", ENEMY: "#cf4238", OTHER: "#2f8f4e"}
_SHOT, _HEALTH, _LOST_HEALTH = "#d97706", "#2f9e5b", "#d3d9e3"
_PANEL, _GAP, _MARGIN, _TIMES, _LABEL = 132.0, 8.0, 14.0, 18.0, 10.0  # points
_SMALLEST_RADIUS = 0.022  # of a unit, in widths of a panel
_LEAST_HEIGHT = 0.6  # of a panel, in its widths


@dataclass(frozen=True)
class _Frame:
    """The part of the map that all panels show, and the height of a panel in points."""

    west: float
    south: float
    width: float
    height: float

    @property
    def points(self) -> float:
        return _PANEL * self.height / self.width


def write_snapshots(path: Path, episodes: Sequence[Watched], columns: int) -> None:
    """Writes the figure.

    The columns are equally spaced times from the start to the end of the longest episode. An
    episode that is over stays as it ended.

    Args:
        path: A file that ends in ``.png``, ``.svg`` or ``.pdf``.
        episodes: The same episode, played by one policy each.
        columns: The number of moments, two at least.
    """
    last = max(len(one.episode) for one in episodes)
    times = np.unique(np.linspace(0, last, columns).round().astype(int)).tolist()
    frame = _frame(episodes)
    first = episodes[0]
    label = max(text_width(line, _LABEL) for one in episodes for line in _label(one).split("\n"))
    left = 2 * _MARGIN + label
    width = left + len(times) * (_PANEL + _GAP) + _MARGIN - _GAP
    height = _TIMES + len(episodes) * (frame.points + _GAP) + _MARGIN - _GAP
    design = Design(first.scene.title, _subtitle(episodes), LIGHT, {}, {})
    with styled(LIGHT):
        sheet, top = titled_sheet(design, width, height)
        for row, one in enumerate(episodes):
            above = top + _TIMES + row * (frame.points + _GAP)
            _write_label(sheet, one, above + frame.points / 2)
            for column, time in enumerate(times):
                box = left + column * (_PANEL + _GAP), above, _PANEL, frame.points
                axes = _panel(sheet, box, frame, one.scene)
                _draw(axes, one, min(time, len(one.episode)), frame)
                if row == 0:
                    axes.set_title(f"step {time}", fontsize=_LABEL, pad=5)
        save(sheet, path)


def _frame(episodes: Sequence[Watched]) -> _Frame:
    """The smallest part of the map that holds the areas of all episodes, not too flat."""
    areas = np.array([one.scene.area for one in episodes])
    low = areas[:, :2].min(0)
    size = (areas[:, :2] + areas[:, 2:]).max(0) - low
    centre = low + size / 2
    size[1] = max(size[1], _LEAST_HEIGHT * size[0])
    size[0] = max(size[0], _LEAST_HEIGHT * size[1])
    west, south = (centre - size / 2).tolist()
    return _Frame(west, south, *size.tolist())


def _subtitle(episodes: Sequence[Watched]) -> str:
    if len(episodes) == 1:
        return "The first episode of the evaluation"
    starts = [one.scene.position[0][one.present] for one in episodes]
    if all(np.array_equal(starts[0], start) for start in starts[1:]):
        return "The first episode of the evaluation; all policies start from the same state"
    return "The first episode of the evaluation; with other slots the policies start differently"


def _label(one: Watched) -> str:
    return f"{one.policy}\n{_result(one)}"


def _result(one: Watched) -> str:
    """How the episode ended, and when."""
    success, words = one.episode.success, one.scene.results
    ended = words[0] if success == 1 else words[1] if success == 0 else f"{success:.0%} success"
    limit = ", time limit" if one.episode.truncated else ""
    return f"{ended} at step {len(one.episode)}{limit}"


def _write_label(sheet: Sheet, one: Watched, middle: float) -> None:
    muted = THEMES[sheet.theme].muted
    sheet.text(_MARGIN, middle - 1.3 * _LABEL, one.policy, fontsize=_LABEL, fontweight="bold")
    sheet.text(_MARGIN, middle + 0.2 * _LABEL, _result(one), fontsize=_LABEL, color=muted)


def _panel(
    sheet: Sheet, box: tuple[float, float, float, float], frame: _Frame, scene: Scene
) -> Axes:
    """Empty axes for one moment, with the grid and the map's edge."""
    from matplotlib.patches import Rectangle

    axes = sheet.axes(*box)
    axes.set_xlim(frame.west, frame.west + frame.width)
    axes.set_ylim(frame.south, frame.south + frame.height)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    theme = THEMES[sheet.theme]
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(theme.grid)
    west, south, width, height = scene.bounds or scene.area
    if scene.grid:
        for x in np.arange(west, west + width, scene.grid)[1:]:
            axes.plot([x, x], [south, south + height], color=theme.grid, linewidth=0.5, zorder=0)
        for y in np.arange(south, south + height, scene.grid)[1:]:
            axes.plot([west, west + width], [y, y], color=theme.grid, linewidth=0.5, zorder=0)
    edge: dict[str, Any] = {"edgecolor": theme.muted, "linewidth": 0.8, "fill": False, "zorder": 0}
    axes.add_patch(Rectangle((west, south), width, height, **edge))
    return axes


def _draw(axes: Axes, one: Watched, step: int, frame: _Frame) -> None:
    """Draws the units of one moment, the dead, and the shots of the step that follows."""
    scene, smallest = one.scene, _SMALLEST_RADIUS * frame.width
    position = scene.position[step]
    for start, end in scene.shots[step] if step < len(scene.shots) else ():
        colour = _SIDE_COLOURS[ENEMY] if scene.things[start].side == ENEMY else _SHOT
        line = position[[start, end]]
        axes.plot(line[:, 0], line[:, 1], color=colour, linewidth=0.9, alpha=0.8, zorder=1)
    for entity in np.flatnonzero(one.present):
        colour = _SIDE_COLOURS[scene.things[entity].side]
        if scene.alive[step, entity]:
            _draw_unit(axes, scene, step, int(entity), smallest, colour)
        elif "health" in scene.bars:  # food that is collected leaves nothing
            axes.plot(*position[entity], "x", color=colour, markersize=4, alpha=0.5, zorder=1)


def _draw_unit(
    axes: Axes, scene: Scene, step: int, entity: int, smallest: float, colour: str
) -> None:
    from matplotlib.patches import Circle, RegularPolygon, Wedge

    thing = scene.things[entity]
    x, y = scene.position[step, entity].tolist()
    centre = x, y
    radius = max(thing.radius, smallest)
    style: dict[str, Any] = {"linewidth": 0, "zorder": 3}
    if "health" in scene.bars:
        share = float(scene.bars["health"][step, entity])
        ring = radius * 1.4
        background = THEMES[LIGHT].background
        axes.add_patch(Circle(centre, ring, facecolor=_LOST_HEALTH, **style))
        axes.add_patch(Wedge(centre, ring, 90 - 360 * share, 90, facecolor=_HEALTH, **style))
        axes.add_patch(Circle(centre, radius * 1.12, facecolor=background, **style))
    shape = (
        RegularPolygon(centre, thing.corners, radius=radius, facecolor=colour, **style)
        if thing.corners
        else Circle(centre, radius, facecolor=colour, **style)
    )
    axes.add_patch(shape)
    if "health" not in scene.bars:  # numbers fit where nothing else is on the unit
        size = 1.1 * radius / _axes_width(axes) * _PANEL
        axes.text(
            x, y, thing.label, color="white", fontsize=size, ha="center", va="center_baseline"
        )


def _axes_width(axes: Axes) -> float:
    low, high = axes.get_xlim()
    return float(high - low)
