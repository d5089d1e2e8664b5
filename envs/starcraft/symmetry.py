"""The eight symmetries of the square map, applied to units and actions.

A battle on a rotated or reflected map is an equally valid battle.

Shape legend: ``N`` battles, ``A`` agents; more in ``envs.starcraft.units``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .team_view import FIRST_ATTACK, FIRST_MOVE
from .units import MOVES, IntArray, Units

_MOVES = np.array(MOVES, np.int64)  # [4, 2]
_ROTATION = np.array([[0, -1], [1, 0]])
_REFLECTION = np.array([[-1, 0], [0, 1]])

# [8, 2, 2]: the four rotations by quarter turns, without and with a reflection before them.
SYMMETRIES = np.stack(
    [
        np.linalg.matrix_power(_ROTATION, turns) @ np.linalg.matrix_power(_REFLECTION, reflections)
        for reflections in range(2)
        for turns in range(4)
    ]
)
# [8]: the index of each one's inverse.
INVERSE = np.array([(SYMMETRIES == matrix.T).all((1, 2)).argmax() for matrix in SYMMETRIES])
# [8, 4]: the move that each move becomes: the one along the transformed unit vector.
_TRANSFORMED_MOVE = (_MOVES @ SYMMETRIES.transpose(0, 2, 1) @ _MOVES.T).argmax(-1)


def transform_units(units: Units, symmetry: IntArray) -> Units:
    """The same battles on rotated or reflected maps.

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
    """The actions on the transformed maps that correspond to ``actions``; [N, A] both.

    Args:
        actions: [N, A].
        symmetry: [N] index into ``SYMMETRIES``.
    """
    is_move = (actions >= FIRST_MOVE) & (actions < FIRST_ATTACK)
    move = np.where(is_move, actions - FIRST_MOVE, 0)
    transformed = np.take_along_axis(_TRANSFORMED_MOVE[symmetry], move, axis=-1) + FIRST_MOVE
    return np.where(is_move, transformed, actions)
