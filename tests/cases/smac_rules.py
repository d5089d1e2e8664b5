"""The rules of SMAC, SMACv2 and REFIL in plain Python, written from what their code does.

They know nothing of our arrays: a battle is two lists of units on a map of 32 x 32 cells. Ours are
compared with them, and ``DIFFERENCES`` names every way in which the two may differ. Each name is a
row of docs/tasks/starcraft-rules.md.

The functions of the original classes gave the same answers on 3,000 random battles each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Grid = Sequence[Sequence[bool]]  # pathable, by the cell's x and y

NO_OP, STOP, NORTH, SOUTH, EAST, WEST, FIRST_TARGET = range(7)
MAP_SIZE, HALF_MOVE = 32, 1.0
MEDIVAC = "medivac"
KILL, WIN, BEST = 10.0, 200.0, 20.0

# SMACv2's own ranges: sight, attack. Without them, and in SMAC and REFIL, all have 9 and 6.
OWN_RANGES = {
    "marine": (9.0, 5.0),
    "marauder": (10.0, 6.0),
    MEDIVAC: (11.0, 4.0),
    "stalker": (10.0, 6.0),
    "zealot": (9.0, 2.0),
    "colossus": (10.0, 7.0),
    "hydralisk": (9.0, 5.0),
    "zergling": (8.0, 2.0),
    "baneling": (8.0, 2.0),
}

# Where ours differ, by choice.
EDGE = "moves at the west and south edge"
AIR = "attack on a medivac"
MACHINES = "healing machines"
SIGHT = "exactly at the sight range"
DEAD = "dead agents"
SEVERAL = "several medivacs left"
REGAINED = "regained health"
LEFT_OVER = "medivacs left after a win"
DIFFERENCES = (EDGE, AIR, MACHINES, SIGHT, DEAD, SEVERAL, REGAINED, LEFT_OVER)


@dataclass(frozen=True)
class Unit:
    """A unit: its type, place, and what is left of it. A dead unit has no health."""

    kind: str
    x: float
    y: float
    health: float
    shield: float = 0.0

    @property
    def points(self) -> float:
        return self.health + self.shield if self.health > 0 else 0.0


@dataclass(frozen=True)
class Battle:
    """The units of both sides, the dead included."""

    allies: tuple[Unit, ...]
    enemies: tuple[Unit, ...]


@dataclass(frozen=True)
class Rules:
    """What distinguishes the three.

    Attributes:
        own_ranges: Whether unit types have ranges of their own.
        sees: Whether a distance is within a sight range.
        dead_see_themselves: Whether a dead agent observes its own entity.
        last_medivacs: Whether so many enemy medivacs, and nothing else, end the battle.
        sign: What becomes of a step's net loss and kills.
    """

    own_ranges: bool = False
    sees: Callable[[float, float], bool] = float.__lt__
    dead_see_themselves: bool = False
    last_medivacs: Callable[[int], bool] = bool
    sign: Callable[[float], float] = abs


def _only_one(medivacs: int) -> bool:
    return medivacs == 1


def _not_negative(points: float) -> float:
    return max(points, 0.0)


RULES = {
    "SMAC": Rules(last_medivacs=_only_one),
    "SMACv2": Rules(sign=_not_negative),
    "SMACv2, use_unit_ranges": Rules(own_ranges=True, sign=_not_negative),
    "REFIL": Rules(sees=float.__le__, dead_see_themselves=True),
}


def distance(one: Unit, other: Unit) -> float:
    """The distance between the centres of two units."""
    return math.hypot(other.x - one.x, other.y - one.y)


def may_move(unit: Unit, east: float, north: float, pathable: Grid) -> bool:
    """Rounds towards 0, so that -0.5 is within the first cell."""
    x, y = int(unit.x + east * HALF_MOVE), int(unit.y + north * HALF_MOVE)
    return 0 <= x < MAP_SIZE and 0 <= y < MAP_SIZE and pathable[x][y]


def allowed(rules: Rules, battle: Battle, agent: int, pathable: Grid) -> set[int]:
    """The actions that an agent may take."""
    unit = battle.allies[agent]
    if unit.health <= 0:
        return {NO_OP}
    actions = {STOP}
    moves = {NORTH: (0, 1), SOUTH: (0, -1), EAST: (1, 0), WEST: (-1, 0)}
    actions |= {move for move, to in moves.items() if may_move(unit, *to, pathable)}
    reach = OWN_RANGES[unit.kind][1] if rules.own_ranges else 6.0
    heals = unit.kind == MEDIVAC
    for slot, target in enumerate(battle.allies if heals else battle.enemies):
        is_patient = not heals or target.kind != MEDIVAC
        if target.health > 0 and is_patient and distance(unit, target) <= reach:
            actions.add(FIRST_TARGET + slot)
    return actions


def visible(rules: Rules, battle: Battle, agent: int) -> set[int]:
    """The entities that an agent observes, allies first; a living agent observes itself."""
    unit = battle.allies[agent]
    if unit.health <= 0:
        return {agent} if rules.dead_see_themselves else set()
    sight = OWN_RANGES[unit.kind][0] if rules.own_ranges else 9.0
    return {agent} | {
        slot
        for slot, other in enumerate((*battle.allies, *battle.enemies))
        if other.health > 0 and rules.sees(distance(unit, other), sight)
    }


def ending(rules: Rules, battle: Battle) -> int | None:
    """1 won, -1 lost, 0 a draw; None while the battle goes on. A loss comes first."""
    allies, enemies = (
        [unit.kind for unit in army if unit.health > 0] for army in (battle.allies, battle.enemies)
    )
    has_medivacs = any(unit.kind == MEDIVAC for unit in battle.allies + battle.enemies)
    if (not allies and enemies) or (has_medivacs and set(allies) <= {MEDIVAC}):
        return -1
    only_medivacs = has_medivacs and set(enemies) == {MEDIVAC}
    if not enemies or (only_medivacs and rules.last_medivacs(len(enemies))):
        return 1 if allies else 0
    return None


def reward(rules: Rules, before: Battle, after: Battle, most_points: float) -> float:
    """The team's reward, scaled by the enemies' largest health and shields in this battle."""
    net = sum(
        old.points - new.points + KILL * (new.health <= 0)
        for old, new in zip(before.enemies, after.enemies, strict=True)
        if old.health > 0
    )
    earned = rules.sign(net) + WIN * (ending(rules, after) == 1)
    return earned * BEST / (most_points + KILL * len(before.enemies) + WIN)
