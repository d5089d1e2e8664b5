"""One game at one time step, and what follows from it: what agents see and may do, the reward.

Shape legend: ``A`` agent slots (players), ``F`` food slots, ``E = A + F`` entity slots (agents
first), ``U`` actions. A cell is a row from the north and a column from the west.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .tasks import Task

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

NONE, NORTH, SOUTH, WEST, EAST, LOAD = range(6)  # lbforaging's order
NUM_ACTIONS = 6
NEXT_CELLS = np.array([(-1, 1, 0, 0), (0, 0, -1, 1)])[:, None]  # [2, 1, 4] of the moves

BEST_RETURN = 20.0  # for all food of an episode: that of multi_task_sc2


@dataclass(frozen=True)
class Field:
    """The grid of one game, by slots.

    Attributes:
        task: What is played.
        step: The number of steps so far.
        cell: [E, 2] row and column; zero for absent entities.
        level: [E] zero for absent entities.
        eaten: [F] True = the food is collected.
        last_action: [A] zero before the first step.
    """

    task: Task
    step: int
    cell: IntArray
    level: IntArray
    eaten: BoolArray
    last_action: IntArray

    @property
    def agents(self) -> int:
        """A."""
        return len(self.last_action)

    @cached_property
    def present(self) -> BoolArray:
        """[E] True = the entity exists in this episode, also when it is eaten."""
        return self.level > 0

    @cached_property
    def remaining(self) -> BoolArray:
        """[E] True = it is on the grid now."""
        remaining = self.present.copy()
        remaining[self.agents :] &= ~self.eaten
        return remaining


def offsets(field: Field) -> IntArray:
    """[A, E, 2] the rows and columns from each agent to each entity."""
    return field.cell - field.cell[: field.agents, None]


def visible(field: Field, offsets: IntArray, sight: int) -> BoolArray:
    """[A, E] True = the agent sees the entity: it is at most ``sight`` rows and columns away."""
    near = (np.abs(offsets) <= sight).all(-1)
    return near & field.remaining[: field.agents, None] & field.remaining


def action_mask(field: Field) -> BoolArray:
    """[A, U] True = the action is allowed now, as in lbforaging: other players block no move."""
    agents, (rows, columns) = field.agents, (field.task.rows, field.task.columns)
    is_food = np.zeros((rows + 2, columns + 2), bool)  # with a border of cells outside
    is_free = np.zeros((rows + 2, columns + 2), bool)
    foods = tuple(field.cell[agents:][field.remaining[agents:]].T + 1)
    is_food[foods] = True
    is_free[1:-1, 1:-1] = True
    is_free[foods] = False
    ahead = field.cell[:agents].T[:, :, None] + 1 + NEXT_CELLS  # 2,A,4
    mask = np.empty((agents, NUM_ACTIONS), bool)
    mask[:, NORTH:LOAD] = is_free[*ahead]
    mask[:, LOAD] = is_food[*ahead].any(-1)
    mask &= field.present[:agents, None]
    mask[:, NONE] = True
    return mask


def share_collected(field: Field) -> float:
    """The levels of the food that is collected, as a share of those of all food."""
    levels = field.level[field.agents :]
    return float(levels[field.eaten].sum() / levels.sum())


def is_over(field: Field) -> bool:
    """Whether all food is collected."""
    return not field.remaining[field.agents :].any()


def reward(before: Field, after: Field) -> float:
    """The team's reward of a step: lbforaging's, summed over the players, times ``BEST_RETURN``."""
    return BEST_RETURN * (share_collected(after) - share_collected(before))
