"""Pictures of one battle, drawn from its Units.

A picture shows every unit with its tag, its health as a ring and its shield as a second ring. Dead
units are crosses, and a line connects each attacker with its target. The header shows both armies'
health, the task, the step and, at the end, the result. A single picture shows the middle of the
map, or the whole map if a unit has left the middle. A film shows the part where its battle is.

Units here are those of one battle, without the leading ``N``: ``E = A + F`` entity slots, ``A``
of them allies. Pictures are [H, W, 3] uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from .outcome import decided, won
from .team_view import targets
from .units import HALF_MAP, UNIT_TYPES, BoolArray, Units

Colour = tuple[int, int, int]
Point = tuple[float, float]

SUPERSAMPLING = 3  # draws this many times larger, then shrinks the picture: smooth edges
MIDDLE = (
    9.5  # map units from the centre to the side of the view; armies at both ends start within 8
)
WHOLE_MAP = HALF_MAP + 1.0
MARGIN = 1.5  # map units between the outermost unit of a battle and the edge of its film
LINES_IN_HEADER = 4.4  # the header's height in lines of text
LINES_IN_WIDTH = 36.0  # the picture's width in heights of a line

PAPER: Colour = (17, 21, 31)
GROUND: Colour = (27, 33, 46)
GRID: Colour = (36, 43, 60)
EDGE: Colour = (98, 112, 142)
TEXT: Colour = (226, 232, 242)
FAINT_TEXT: Colour = (138, 150, 174)
RING_BACK: Colour = (62, 70, 90)
SHIELD: Colour = (150, 200, 255)
ALLY: Colour = (66, 146, 238)
ENEMY: Colour = (226, 82, 80)
SHOT: Colour = (255, 214, 120)
HEALTH: tuple[Colour, Colour, Colour] = ((238, 84, 74), (245, 190, 75), (110, 214, 130))


class View(NamedTuple):
    """The square part of the map that is shown: from its centre (x, y) to a side, in map units."""

    half: float
    x: float = 0.0
    y: float = 0.0


class Shape(NamedTuple):
    """The shape of a unit type: its radius in map units and its corners; 0 corners = a disc."""

    radius: float
    corners: int


SHAPES: dict[str, Shape] = {
    "marine": Shape(0.375, 0),
    "marauder": Shape(0.5625, 6),
    "medivac": Shape(0.75, 8),
    "stalker": Shape(0.625, 4),
    "zealot": Shape(0.5, 5),
    "colossus": Shape(1.0, 7),
    "hydralisk": Shape(0.625, 3),
    "zergling": Shape(0.375, 3),
    "baneling": Shape(0.375, 4),
}


def picture(units: Units, task_name: str, width: int = 720) -> npt.NDArray[np.uint8]:
    """Draws one time step of one battle.

    Args:
        units: The battle; arrays without the leading ``N``.
        task_name: Shown above the map.
        width: W in pixels; H follows from it.

    Returns:
        [H, W, 3] uint8.
    """
    return np.asarray(_Canvas(width, _view(units)).draw(units, task_name))


def video_frames(steps: Sequence[Units], task_name: str, width: int) -> list[Image.Image]:
    """A picture of each step of one battle, all of the part of the map where it takes place.

    Args:
        steps: The battle at each step; arrays without the leading ``N``.
        task_name: Shown above the map.
        width: W in pixels.
    """
    view = _view_of_battle(steps)
    return [_Canvas(width, view).draw(units, task_name) for units in steps]


def _view(units: Units) -> View:
    """The middle of the map if it contains all units, else the whole map."""
    farthest = np.abs(units.position).max()
    return View(MIDDLE if farthest < MIDDLE - 0.5 else WHOLE_MAP)


def _view_of_battle(steps: Sequence[Units]) -> View:
    """The smallest view that contains all units at every step."""
    positions = np.concatenate([units.position[units.present] for units in steps])
    low, high = positions.min(axis=0), positions.max(axis=0)
    x, y = ((low + high) / 2).tolist()
    return View(float((high - low).max()) / 2 + MARGIN, x, y)


class _Canvas:
    """Draws one picture.

    Args:
        width: Of the finished picture, in pixels.
        view: The part of the map.
    """

    def __init__(self, width: int, view: View) -> None:
        self.view = view
        self.unit = width * SUPERSAMPLING / (2 * view.half)  # a map unit in pixels
        self.line = width * SUPERSAMPLING / LINES_IN_WIDTH  # a line of text in pixels
        self.size = width, round(width * (1 + LINES_IN_HEADER / LINES_IN_WIDTH))
        large = self.size[0] * SUPERSAMPLING, self.size[1] * SUPERSAMPLING
        self.image = Image.new("RGB", large, GROUND)
        self.pen = ImageDraw.Draw(self.image)

    def draw(self, units: Units, task_name: str) -> Image.Image:
        self._ground()
        self._dead(units)
        self._shots(units)
        for entity in np.flatnonzero(units.alive):
            self._unit(units, int(entity))
        self._header(units, task_name)
        return self.image.resize(self.size, Image.Resampling.BOX)

    def _pixel(self, x: float, y: float) -> Point:
        """The pixel of a point, given in map units east and north of the centre."""
        top = LINES_IN_HEADER * self.line
        east, south = self.view.half + x - self.view.x, self.view.half - y + self.view.y
        return float(east * self.unit), float(top + south * self.unit)

    def _stroke(self, start: Point, end: Point, width: float, colour: Colour) -> None:
        self.pen.line([start, end], colour, max(1, round(width * self.unit)))

    def _disc(self, centre: Point, radius: float, colour: Colour) -> None:
        self.pen.circle(centre, radius * self.unit, colour)

    def _text(self, at: Point, text: str, pixels: float, colour: Colour, anchor: str) -> None:
        self.pen.text(at, text, colour, ImageFont.load_default(pixels), anchor)

    def _ground(self) -> None:
        """Draws a grid line every four map units and the map's edge; hides the rest."""
        edge = HALF_MAP
        for at in np.arange(-edge, edge + 1, 4.0):
            self._stroke(self._pixel(at, -edge), self._pixel(at, edge), 0.04, GRID)
            self._stroke(self._pixel(-edge, at), self._pixel(edge, at), 0.04, GRID)
        beyond = round(2 * self.unit)
        outer = [self._pixel(-edge - 2, edge + 2), self._pixel(edge + 2, -edge - 2)]
        self.pen.rectangle(outer, None, PAPER, beyond)
        inner = [self._pixel(-edge, edge), self._pixel(edge, -edge)]
        self.pen.rectangle(inner, None, EDGE, round(0.1 * self.unit))

    def _dead(self, units: Units) -> None:
        for entity in np.flatnonzero(units.present & ~units.alive):
            x, y = units.position[entity]
            colour = _mix(GROUND, _side_colour(units, int(entity)), 0.45)
            for slope in (1, -1):
                start = self._pixel(x - 0.25, y - 0.25 * slope)
                self._stroke(start, self._pixel(x + 0.25, y + 0.25 * slope), 0.1, colour)

    def _shots(self, units: Units) -> None:
        """Draws a line from each living attacker to the near side of its target."""
        aimed_at = targets(units, units.last_action.astype(np.int64))
        attackers, attacked = np.flatnonzero(aimed_at >= 0), aimed_at[aimed_at >= 0]
        for agent, target in zip(attackers.tolist(), attacked.tolist(), strict=True):
            if units.alive[agent] and units.present[target]:
                start, end = units.position[agent], units.position[target]
                direction = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
                start = start + direction * (_shape(units, agent).radius + 0.12)
                end = end - direction * (_shape(units, target).radius + 0.12)
                line = self._pixel(*start), self._pixel(*end)
                self._stroke(*line, 0.18, _mix(GROUND, SHOT, 0.25))
                self._stroke(*line, 0.06, SHOT)
                self._disc(line[1], 0.15, SHOT)

    def _unit(self, units: Units, entity: int) -> None:
        centre = self._pixel(*units.position[entity])
        radius, corners = _shape(units, entity)
        self._disc(centre, radius + 0.1, GROUND)
        health = float(units.health[entity] / units.max_health[entity])
        self._ring(centre, radius + 0.07, health, _health_colour(health))
        if units.max_shield[entity] > 0:
            shield = float(units.shield[entity] / units.max_shield[entity])
            self._ring(centre, radius + 0.18, shield, SHIELD)
        colour = _side_colour(units, entity)
        if corners:
            circle = (*centre, (radius - 0.04) * self.unit)
            self.pen.regular_polygon(circle, corners, fill=colour)
        else:
            self._disc(centre, radius - 0.07, colour)
        tag = entity if entity < units.max_allies else entity - units.max_allies
        self._text(centre, str(tag), 0.46 * self.unit, (255, 255, 255), "mm")

    def _ring(self, centre: Point, radius: float, fraction: float, colour: Colour) -> None:
        """Draws a fraction of a circle, clockwise from the top."""
        x, y = centre
        reach, width = radius * self.unit, round(0.1 * self.unit)
        box = (x - reach, y - reach, x + reach, y + reach)
        self.pen.arc(box, 0, 360, RING_BACK, width)
        self.pen.arc(box, -90, -90 + 360 * fraction, colour, width)

    def _header(self, units: Units, task_name: str) -> None:
        line, width = self.line, LINES_IN_WIDTH * self.line
        self.pen.rectangle([(0, 0), (width, LINES_IN_HEADER * line)], PAPER)
        name_size = 1.4 * line * min(1.0, 18 / len(task_name))
        self._text((width / 2, 1.5 * line), task_name, name_size, TEXT, "mm")
        self._text((width / 2, 3.2 * line), _progress(units), line, FAINT_TEXT, "mm")
        allies = np.arange(units.present.size) < units.max_allies
        self._army(units, allies, "allies", ALLY, (line, 13 * line))
        self._army(units, ~allies, "enemies", ENEMY, (width - line, width - 13 * line))

    def _army(
        self, units: Units, army: BoolArray, name: str, colour: Colour, ends: tuple[float, float]
    ) -> None:
        """Draws an army's name, its number of living units and a bar of its health and shield."""
        outer, inner = ends
        present, alive = units.present & army, units.alive & army
        maximum = (units.max_health + units.max_shield)[present].sum()
        left = (units.health + units.shield)[present].sum() / maximum
        count = f"{name}  {alive.sum()} / {present.sum()}"
        anchor = "lm" if outer < inner else "rm"
        self._text((outer, 1.5 * self.line), count, self.line, colour, anchor)
        for share, shade in ((1.0, RING_BACK), (left, colour)):
            west, east = sorted((outer, outer + (inner - outer) * share))
            if share > 0:
                box = [(west, 2.8 * self.line), (east, 3.6 * self.line)]
                self.pen.rounded_rectangle(box, 0.3 * self.line, shade)


def _shape(units: Units, entity: int) -> Shape:
    return SHAPES[UNIT_TYPES[units.unit_type[entity]]]


def _side_colour(units: Units, entity: int) -> Colour:
    return ALLY if entity < units.max_allies else ENEMY


def _health_colour(fraction: float) -> Colour:
    """Interpolates from red over amber to green."""
    low, middle, high = HEALTH
    if fraction < 0.5:
        return _mix(low, middle, 2 * fraction)
    return _mix(middle, high, 2 * fraction - 1)


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    """Interpolates from the first colour (``share`` 0) to the second (1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _progress(units: Units) -> str:
    """The text of the header: the step and, once the battle is over, the result."""
    step = f"step {int(units.step)}"
    if not decided(units):
        return step
    is_draw = not units.alive.any()
    return f"{step}, {'won' if won(units) else 'draw' if is_draw else 'lost'}"


class Window:
    """A matplotlib window that shows one picture after another. It needs a display."""

    def __init__(self) -> None:
        from matplotlib import pyplot  # slow to import, so it is imported on first use

        self._pyplot = pyplot
        self._figure, axes = pyplot.subplots(num="multi_task_sc2")
        axes.set_axis_off()
        self._figure.subplots_adjust(0, 0, 1, 1)
        self._axes = axes

    def show(self, image: npt.NDArray[np.uint8], seconds: float) -> None:
        """Shows a picture [H, W, 3] and waits."""
        for old in list(self._axes.images):
            old.remove()
        self._axes.imshow(image)
        self._pyplot.pause(seconds)

    def close(self) -> None:
        """Closes the window."""
        self._pyplot.close(self._figure)
