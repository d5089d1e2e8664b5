"""Scripted teams: what battles can be won with, as a measure for learned policies.

Every script fires at enemies in range. They differ in what they do before, and in whom they shoot.
All of them know where every enemy is, which learned policies do not.

Shape legend: see ``rllib_ptm.envs.starcraft.units``; ``U`` actions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, FIRST_MOVE, NO_OP, STOP
from rllib_ptm.envs.starcraft.units import (
    HALF_MAP,
    MOVES,
    UNIT_TYPES,
    BoolArray,
    FloatArray,
    IntArray,
    Units,
)

FAR = np.float32(1e9)
STEP, MARGIN = 2.0, 0.5  # map units: the longest way of a step, and what stays free at the edge
LEAST_MOVE = 0.6  # map units: nearer than that no move helps
WASTED = 500.0  # hit points: an enemy that dies anyhow is the last choice
# SMAX's damage of a shot, by unit type; it has no medivac, colossus and baneling.
DAMAGE_OF_TYPE = {
    "marine": 9.0,
    "marauder": 10.0,
    "stalker": 13.0,
    "zealot": 8.0,
    "zergling": 5.0,
    "hydralisk": 12.0,
}
DAMAGE = np.array([DAMAGE_OF_TYPE.get(name, 0.0) for name in UNIT_TYPES], np.float32)
# Of luring, in map units and steps.
AT_HOME = 2.5  # an ally this close to its hiding place has arrived
OUT_OF_SIGHT, SEEN = 0.2, -0.8  # beside the enemy's sight range
FIRST_LURE = 12  # before, the enemy still walks to where the team started
STEPS_ASIDE = 16  # long enough to reach the map's edge


@dataclass
class Situation:
    """What a script sees of N battles, computed once a step.

    Attributes:
        units: The battles.
        distance: [N, A, F] map units; ``FAR`` where one of the two is dead.
        in_range: [N, A, F] bool.
    """

    units: Units
    distance: FloatArray = field(init=False)
    in_range: BoolArray = field(init=False)

    def __post_init__(self) -> None:
        allies, units = self.units.max_allies, self.units
        offset = units.position[:, :allies, None] - units.position[:, None, allies:]
        both = units.alive[:, :allies, None] & units.alive[:, None, allies:]
        self.distance = np.where(both, np.linalg.norm(offset, axis=-1), FAR)
        self.in_range = self.distance < units.attack_range[:, :allies, None]

    def centre(self, side: slice) -> FloatArray:
        """[N, 2] the centre of mass of the living units of a side."""
        alive = self.units.alive[:, side, None]
        return (self.units.position[:, side] * alive).sum(1) / np.maximum(alive.sum(1), 1)

    @property
    def fights(self) -> BoolArray:
        """[N, 1] bool; True = an ally has an enemy in range."""
        return np.asarray(self.in_range.any((1, 2)))[:, None]

    @property
    def allies(self) -> slice:
        """The ally slots."""
        return slice(self.units.max_allies)

    @property
    def enemies(self) -> slice:
        """The enemy slots."""
        return slice(self.units.max_allies, None)


def walk(units: Units, direction: FloatArray) -> IntArray:
    """[N, A] the move that leads furthest along ``direction`` [N, A, 2], or stop if none helps.

    Nobody goes to the map's very edge, which kills by SMAX's own rules.
    """
    ahead = units.position[:, : units.max_allies, None] + STEP * np.array(MOVES)  # N,A,4,2
    inside = units.can_move & (np.abs(ahead) <= HALF_MAP - MARGIN).all(-1)
    gain = np.where(inside, direction @ np.array(MOVES).T, -np.inf)  # N,A,4
    return np.where(gain.max(-1) > LEAST_MOVE, FIRST_MOVE + gain.argmax(-1), STOP)


def to_nearest(now: Situation) -> IntArray:
    """[N, A] a move towards the nearest enemy."""
    nearest = now.distance.argmin(-1)[..., None]
    target = np.take_along_axis(now.units.position[:, now.enemies], nearest, axis=1)
    return walk(now.units, target - now.units.position[:, now.allies])


def closest(now: Situation) -> IntArray:
    """[N, A] each agent's target: the nearest enemy, as SMAX's own enemy does."""
    return now.distance.argmin(-1)


def weakest(now: Situation) -> IntArray:
    """[N, A] each agent's target: the enemy in range with the least health."""
    health = now.units.health[:, None, now.enemies]
    return np.where(now.in_range, health, FAR).argmin(-1)


def shared_out(now: Situation) -> IntArray:
    """[N, A] targets without wasted shots: an enemy that earlier agents kill is left to them.

    Agents with the fewest enemies in range choose first; each takes the weakest that is left.
    """
    units, battles = now.units, np.arange(len(now.units.step))
    left = np.where(units.alive[:, now.enemies], units.health[:, now.enemies], FAR)
    damage = DAMAGE[units.unit_type[:, now.allies]]
    targets = np.zeros(now.in_range.shape[:2], np.int64)
    for agent in np.argsort(now.in_range.sum(-1), axis=-1).T:
        in_range = now.in_range[battles, agent]
        finished = np.where(left <= 0, WASTED, 0.0)
        target = np.where(in_range, left + finished, FAR).argmin(-1)
        fires = in_range.any(-1) & (units.cooldown[battles, agent] < 1.0)
        left[battles, target] -= np.where(fires, damage[battles, agent], 0.0)
        targets[battles, agent] = target
    return targets


@dataclass
class Attack:
    """Walks to the nearest enemy and shoots.

    Args:
        targets: Whom each agent shoots.
    """

    targets: Callable[[Situation], IntArray]

    def __call__(self, units: Units) -> IntArray:
        """[N, A] actions."""
        now = Situation(units)
        return self._fire(now, to_nearest(now))

    def _fire(self, now: Situation, otherwise: IntArray) -> IntArray:
        """[N, A] attacks where an enemy is in range, else another action; no-op for the dead."""
        fire = FIRST_ATTACK + self.targets(now)
        actions = np.where(now.in_range.any(-1), fire, otherwise)
        return np.where(now.units.alive[:, now.allies], actions, NO_OP)


@dataclass
class FallBack(Attack):
    """Falls back to the map's edge, waits there, and shoots who comes."""

    def __call__(self, units: Units) -> IntArray:
        """[N, A] actions."""
        now = Situation(units)
        away = now.centre(now.allies) - now.centre(now.enemies)
        main = np.where(np.abs(away) == np.abs(away).max(-1, keepdims=True), np.sign(away), 0.0)
        back = walk(units, np.broadcast_to(main[:, None], (*now.in_range.shape[:2], 2)))
        return self._fire(now, np.where(now.fights, to_nearest(now), back))


@dataclass
class StepAside(Attack):
    """Leaves the enemy's way for some steps, square to it, and then attacks from the side.

    The enemy walks past in a long row, and the team meets its units a few at a time.
    """

    def __call__(self, units: Units) -> IntArray:
        """[N, A] actions."""
        now = Situation(units)
        away = now.centre(now.allies) - now.centre(now.enemies)
        minor = np.where(np.abs(away) == np.abs(away).max(-1, keepdims=True), 0.0, np.sign(away))
        aside = walk(units, np.broadcast_to(minor[:, None], (*now.in_range.shape[:2], 2)))
        begins = (units.step < STEPS_ASIDE)[:, None] & ~now.fights
        return self._fire(now, np.where(begins, aside, to_nearest(now)))


@dataclass
class Lure(Attack):
    """Hides in a corner out of sight, steps out until one enemy sees the team, and goes back.

    Only the enemies that see somebody follow. So the team meets them one by one.

    Args:
        edge: Map units from the centre to the hiding place, in x and in y.
    """

    edge: float = HALF_MAP - 2.0
    _corner: FloatArray | None = None
    _steps_out: BoolArray | None = None

    def __call__(self, units: Units) -> IntArray:
        """[N, A] actions."""
        now = Situation(units)
        if self._corner is None or self._steps_out is None:
            side = np.where(now.centre(now.allies) < 0, -1.0, 1.0)
            self._corner = (self.edge * side).astype(np.float32)
            self._steps_out = np.zeros(len(units.step), bool)
        home = self._corner[:, None] - units.position[:, now.allies]
        nearest = now.distance.min((1, 2))
        arrived = (np.linalg.norm(home, axis=-1) < AT_HOME) | ~units.alive[:, now.allies]
        sight = units.sight_range[:, now.enemies].max(-1)
        begins = arrived.all(-1) & (nearest > sight + OUT_OF_SIGHT) & (units.step > FIRST_LURE)
        self._steps_out = (self._steps_out | begins) & (nearest > sight + SEEN)
        out = now.centre(now.enemies)[:, None] - units.position[:, now.allies]
        hide = walk(units, np.where(self._steps_out[:, None, None], out, home))
        return self._fire(now, np.where(now.fights, to_nearest(now), hide))


SCRIPTS: dict[str, Callable[[], Attack]] = {
    "attack the closest": lambda: Attack(closest),
    "attack the weakest": lambda: Attack(weakest),
    "share out the targets": lambda: Attack(shared_out),
    "fall back": lambda: FallBack(weakest),
    "fall back, share out": lambda: FallBack(shared_out),
    "step aside": lambda: StepAside(weakest),
    "step aside, share out": lambda: StepAside(shared_out),
    "lure": lambda: Lure(shared_out),
}
