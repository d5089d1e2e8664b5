"""What an interactive player needs to draw an episode."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .features import CELLS_PER_UNIT, COLUMNS, LEVELS_PER_UNIT
from .field import LOAD
from .tasks import Task

FloatArray = npt.NDArray[np.float32]

_ACTIONS = ("nothing", "north", "south", "west", "east", "load")
_DIRECTIONS = {1: (0.0, 1.0), 2: (0.0, -1.0), 3: (-1.0, 0.0), 4: (1.0, 0.0)}
_HALF_CELL = 0.5


def episode_scene(states: FloatArray, agents: int, task: Task, sight: int) -> dict[str, Any]:
    """Describes an episode by its states.

    Args:
        states: [T+1, E, D] what ``state()`` has returned at each step.
        agents: A.
        task: What is played.
        sight: Rows and columns that an agent sees around itself.

    Returns:
        The area and its grid, the entities, and where they are at each step.
    """
    starts = dict(zip(COLUMNS, np.cumsum([0, *COLUMNS.values()]).tolist(), strict=False))
    level = (states[0, :, starts["level"]] * LEVELS_PER_UNIT).round().astype(int)
    east_north = states[..., starts["from_centre"] : starts["from_centre"] + 2] * CELLS_PER_UNIT
    remaining = states[..., starts["remaining"]] > 0
    loads = states[:, :agents, starts["did_last"] + LOAD] > 0
    collected = (~remaining[:, agents:] * level[agents:]).sum(-1) / level[agents:].sum()
    return {
        "area": (-task.columns / 2, -task.rows / 2, task.columns, task.rows),
        "grid": 1.0,
        "things": [_thing(slot, int(level[slot]), agents, sight) for slot in range(len(level))],
        "position": east_north,
        "alive": remaining,
        "actions": _ACTIONS,
        "directions": _DIRECTIONS,
        "shots": tuple(
            _loaded(east_north[t], agents, loads[t + 1], gone=was & ~stays)
            for t, (was, stays) in enumerate(pairwise(remaining))
        ),
        "curves": {"food collected": collected},
        "sides_of_curves": {"food collected": "other"},
    }


def _thing(slot: int, level: int, agents: int, sight: int) -> dict[str, Any]:
    is_player = slot < agents
    return {
        "name": f"player {slot}" if is_player else f"food {slot - agents}",
        "kind": f"level {level}",
        "side": "ally" if is_player else "other",
        "label": str(level),
        "radius": 0.36 if is_player else 0.32,
        "corners": 0 if is_player else 4,
        "ranges": {"sight": sight + _HALF_CELL} if is_player else {},
    }


def _loaded(
    cells: FloatArray, agents: int, loads: npt.NDArray[np.bool_], gone: npt.NDArray[np.bool_]
) -> tuple[tuple[int, int], ...]:
    """The players that load, each with the food next to it that is collected in this step."""
    return tuple(
        (player, food)
        for player in np.flatnonzero(loads).tolist()
        for food in np.flatnonzero(gone).tolist()
        if food >= agents and abs(cells[player] - cells[food]).sum() < 1 + _HALF_CELL
    )
