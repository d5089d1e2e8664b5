"""The test cases of moves, shared by the tests of all backends."""

from __future__ import annotations

NO_OP, STOP, NORTH, SOUTH, EAST, WEST, ATTACK = range(7)

# Each action's displacement to the east and to the north, in lengths of a move.
DIRECTIONS = [
    (NO_OP, (0, 0)),
    (STOP, (0, 0)),
    (NORTH, (0, 1)),
    (SOUTH, (0, -1)),
    (EAST, (1, 0)),
    (WEST, (-1, 0)),
]

# A unit's position, in map units from the centre, and whether it may move north, south, east, west.
MAP_EDGES = [
    (0.0, 0.0, [True, True, True, True]),
    (0.0, 15.1, [False, True, True, True]),
    (0.0, -15.1, [True, False, True, True]),
    (15.1, 0.0, [True, True, False, True]),
    (-15.1, 0.0, [True, True, True, False]),
    (14.9, -15.1, [True, False, True, True]),
]
