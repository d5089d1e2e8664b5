"""A picture of one game, drawn without a display.

Players are blue discs with their level, foods are red discs; a ring shows a player that loads. The
colours are those of the pictures of StarCraft battles.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ..starcraft.render import (
    ALLY,
    EDGE,
    ENEMY,
    FAINT_TEXT,
    GRID,
    GROUND,
    PAPER,
    SHOT,
    SUPERSAMPLING,
    TEXT,
)
from .field import LOAD, Field, is_over, share_collected

HEADER = 0.12  # the header's height in widths of the picture
WHITE = (255, 255, 255)


def picture(field: Field, width: int = 480) -> npt.NDArray[np.uint8]:
    """Draws one time step.

    Args:
        field: The game.
        width: W in pixels; H follows from it.

    Returns:
        [H, W, 3] uint8.
    """
    rows, columns = field.task.rows, field.task.columns
    cell = width * SUPERSAMPLING / columns
    top = HEADER * width * SUPERSAMPLING
    size = width, round(width * (HEADER + rows / columns))
    large = size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING
    image = Image.new("RGB", large, GROUND)
    pen = ImageDraw.Draw(image)
    for row in range(1, rows):
        pen.line([(0, top + row * cell), (large[0], top + row * cell)], GRID, SUPERSAMPLING)
    for column in range(1, columns):
        pen.line([(column * cell, top), (column * cell, large[1])], GRID, SUPERSAMPLING)
    pen.rectangle([(0, top), (large[0] - 1, large[1] - 1)], None, EDGE, 2 * SUPERSAMPLING)
    for entity in np.flatnonzero(field.remaining):
        row, column = field.cell[entity].tolist()
        centre = ((column + 0.5) * cell, top + (row + 0.5) * cell)
        is_player = entity < field.agents
        if is_player and field.last_action[entity] == LOAD:
            pen.circle(centre, 0.46 * cell, SHOT)
        pen.circle(centre, 0.38 * cell, ALLY if is_player else ENEMY)
        level = str(field.level[entity])
        pen.text(centre, level, WHITE, ImageFont.load_default(0.4 * cell), "mm")
    _header(pen, field, large[0], top)
    return np.asarray(image.resize(size, Image.Resampling.BOX))


def _header(pen: ImageDraw.ImageDraw, field: Field, width: float, height: float) -> None:
    """Draws the task's name, and below it the step and what is collected."""
    pen.rectangle([(0, 0), (width, height)], PAPER)
    collected = f"{share_collected(field):.0%} collected"
    end = ", over" if is_over(field) else ""
    for text, at, pixels, colour in (
        (field.task.name, 0.32, 0.36, TEXT),
        (f"step {field.step}, {collected}{end}", 0.74, 0.27, FAINT_TEXT),
    ):
        font = ImageFont.load_default(pixels * height)
        pen.text((width / 2, at * height), text, colour, font, "mm")
