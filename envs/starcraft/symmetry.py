"""The symmetries of the map: a battle that is turned or mirrored is as good a battle.

Shape legend: ``N`` battles, ``A`` agents; more in ``envs.starcraft.units``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from envs.starcraft.team_view import FIRST_ATTACK, FIRST_MOVE
from envs.starcraft.units import IntArray, Units

# Unit vectors of the moves, in the order of the actions: north, south, east, west.
_MOVES = np.array([[0, 1], [0, -1], [1, 0], [-1, 0]])
_QUARTER_TURN = np.array([[0, -1], [1, 0]])
_MIRROR = np.array([[-1, 0], [0, 1]])

# [8, 2, 2]: the four quarter turns, each without and with a mirror before it.
SYMMETRIES = np.stack(
    [
        np.linalg.matrix_power(_QUARTER_TURN, turns) @ np.linalg.matrix_power(_MIRROR, mirrors)
        for mirrors in range(2)
        for turns in range(4)
    ]
)
# [8]: what undoes each of them.
INVERSE = np.array([(SYMMETRIES == matrix.T).all((1, 2)).argmax() for matrix in SYMMETRIES])
# [8, 4]: what becomes of each move: the one whose vector the turned vector equals.
_TRANSFORMED_MOVE = (_MOVES @ SYMMETRIES.transpose(0, 2, 1) @ _MOVES.T).argmax(-1)


def transform_units(units: Units, symmetry: IntArray) -> Units:
    """The same battles on maps that are turned or mirrored.

    Args:
        units: N battles.
        symmetry: [N] index into ``SYMMETRIES``.
    """
    matrix = SYMMETRIES[symmetry].astype(np.float32)  # N,2,2
    move_before = _TRANSFORMED_MOVE[INVERSE[symmetry]][:, None]  # N,1,4
    return replace(
        units,
        position=units.position @ matrix.transpose(0, 2, 1),
        can_move=np.take_along_axis(units.can_move, move_before, axis=-1),
        last_action=transform_actions(units.last_action.astype(np.int64), symmetry).astype(np.int8),
    )


def transform_actions(actions: IntArray, symmetry: IntArray) -> IntArray:
    """What does on the turned maps the same as ``actions`` on these; [N, A] both."""
    is_move = (actions >= FIRST_MOVE) & (actions < FIRST_ATTACK)
    move = np.where(is_move, actions - FIRST_MOVE, 0)
    turned = np.take_along_axis(_TRANSFORMED_MOVE[symmetry], move, axis=-1) + FIRST_MOVE
    return np.where(is_move, turned, actions)
