"""The features of entities: the same columns for every grid and every number of slots."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from .field import NUM_ACTIONS, BoolArray, Field, IntArray
from .tasks import LARGEST_SIDE

FloatArray = npt.NDArray[np.float32]

CELLS_PER_UNIT = 5.0  # of `from_centre`
LEVELS_PER_UNIT = 2.0
MOST_LEVEL = 6  # of a food: three players of level 2
# A difference of two positions is a linear function of products of their waves, and attention is
# made of such products. The short ones tell neighbours apart, the long ones the rest of the grid.
WAVELENGTHS = np.array([4.0, 8.0, 16.0, 32.0])  # in cells
LARGEST_FEATURE = 10.0
assert LARGEST_SIDE / CELLS_PER_UNIT <= LARGEST_FEATURE

COLUMNS: dict[str, int] = {
    "kind": 2,
    "remaining": 1,
    "level": 1,
    "level_is": MOST_LEVEL,
    "from_centre": 2,
    "in_grid": 2,
    "waves": 4 * len(WAVELENGTHS),
    "nearest_food": 4,
    "nearest_player": 4,
    "time_left": 1,
    "may_do": NUM_ACTIONS,
    "did_last": NUM_ACTIONS,
}
NUM_FEATURES = sum(COLUMNS.values())


def features(
    field: Field, offsets: IntArray, visible: BoolArray, action_mask: BoolArray, time_limit: int
) -> FloatArray:
    """[E, D] in the order of ``COLUMNS``; zero for absent entities.

    Args:
        field: The game.
        offsets: [A, E, 2].
        visible: [A, E].
        action_mask: [A, U].
        time_limit: The number of steps after which the game ends.
    """
    agents, present = field.agents, field.present
    table = np.zeros((len(field.level), NUM_FEATURES), np.float32)
    table[:agents, 0] = 1
    table[agents:, 1] = 1
    table[:, 2] = field.remaining
    table[:, _LEVEL] = _level_features()[field.level]
    table[:, _POSITION] = _position_features(field.task.rows, field.task.columns)[*field.cell.T]
    table[:agents, _NEAREST] = _nearest(field, offsets, visible)
    table[:, _TIME] = 1 - field.step / time_limit
    table[:agents, _MAY_DO] = action_mask
    if field.step:
        table[np.arange(agents), _DID_LAST.start + field.last_action] = 1
    table *= present[:, None]
    return table


def _nearest(field: Field, offsets: IntArray, visible: BoolArray) -> FloatArray:
    """[A, 8] the nearest food and the nearest other player of each agent, as far as it sees them.

    For both: east, north, level, 1 = seen. Of several that are equally near, it is the first one
    from the north, then from the west.
    """
    agents = field.agents
    rows = np.arange(agents)[:, None]
    rank = np.abs(offsets).sum(-1) * LARGEST_SIDE**2 + field.cell @ _IN_ORDER
    rank[~visible] = _UNSEEN
    rank[rows, rows] = _UNSEEN  # not the agent itself
    kinds = rank[:, agents:].argmin(-1) + agents, rank[:, :agents].argmin(-1)
    nearest = np.stack(kinds, -1)  # A,2
    found = np.empty((agents, 2, 4), np.float32)
    found[:, :, :2] = offsets[rows, nearest, ::-1] * _EAST_NORTH
    found[:, :, 2] = field.level[nearest] / LEVELS_PER_UNIT
    found[:, :, 3] = 1
    found *= (rank[rows, nearest] < _UNSEEN)[:, :, None]
    return found.reshape(agents, 8)


def _slice(first: str, last: str) -> slice:
    """The columns of some groups that stand side by side."""
    names = list(COLUMNS)
    start = sum(COLUMNS[name] for name in names[: names.index(first)])
    return slice(start, sum(COLUMNS[name] for name in names[: names.index(last) + 1]))


_LEVEL = _slice("level", "level_is")
_POSITION = _slice("from_centre", "waves")
_NEAREST = _slice("nearest_food", "nearest_player")
_TIME = _slice("time_left", "time_left")
_MAY_DO = _slice("may_do", "may_do")
_DID_LAST = _slice("did_last", "did_last")

_IN_ORDER = np.array([LARGEST_SIDE, 1])  # cells from the north, then from the west
_UNSEEN = np.iinfo(np.int64).max
_EAST_NORTH = np.array([1, -1]) / CELLS_PER_UNIT


@cache
def _level_features() -> FloatArray:
    """[7, 7] for each level, that of absent entities (zero) included."""
    levels = np.arange(MOST_LEVEL + 1)[:, None]
    columns = [levels / LEVELS_PER_UNIT, levels == np.arange(1, MOST_LEVEL + 1)]
    return np.concatenate(columns, -1).astype(np.float32)


@cache
def _position_features(rows: int, columns: int) -> FloatArray:
    """[rows, columns, 20] for each cell of a grid."""
    half = (np.array([columns, rows]) - 1) / 2
    row, column = np.mgrid[:rows, :columns]
    position = np.stack([column - half[0], half[1] - row], -1)  # east and north, in cells
    angle = 2 * np.pi * position[..., None] / WAVELENGTHS
    waves = np.concatenate([np.sin(angle), np.cos(angle)], -1).reshape(rows, columns, -1)
    groups = [position / CELLS_PER_UNIT, position / half, waves]
    return np.concatenate(groups, -1).astype(np.float32)
