"""Armies whose sizes are drawn from ranges, and whose unit types from lists (REFIL)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np

from .task import Composition

Team = tuple[int, ...]


@dataclass(frozen=True, order=True)
class Group:
    """Units of an army: so many, each of one of some types.

    Attributes:
        low: The smallest number of units.
        high: The largest number of units.
        types: The unit types, as indices into ``UNIT_TYPES``, in rising order.
    """

    low: int
    high: int
    types: tuple[int, ...]

    @property
    def width(self) -> int:
        """By how much the number of units varies."""
        return self.high - self.low

    def num_teams(self, step: int) -> int:
        """How many different teams of ``low + step`` units there are."""
        return math.comb(self.low + step + len(self.types) - 1, len(self.types) - 1)

    def teams(self, step: int) -> Iterator[Team]:
        """All different teams of ``low + step`` units."""
        return combinations_with_replacement(self.types, self.low + step)

    def draw(self, step: int, rng: np.random.Generator) -> Team:
        """Draws a team of ``low + step`` units; all different ones are equally likely.

        A team is a row of units with a bar between each two types, so bars at random places do it.
        """
        if len(self.types) == 1:
            return self.types * (self.low + step)
        units, bars = self.low + step, len(self.types) - 1
        places = np.sort(rng.choice(units + bars, bars, replace=False))
        counts = np.diff(places, prepend=-1, append=units + bars) - 1
        return tuple(np.repeat(self.types, counts).tolist())


@dataclass(frozen=True, order=True)
class Pair:
    """Groups whose numbers of units are drawn together: ``low + step`` each, with one ``step``.

    Attributes:
        allies: The group of the allies; empty if there is none.
        enemies: The group of the enemies; empty if there is none.
    """

    allies: tuple[Group, ...]
    enemies: tuple[Group, ...]

    @property
    def width(self) -> int:
        """The largest ``step``."""
        return (*self.allies, *self.enemies)[0].width

    def num_teams(self, step: int) -> int:
        """How many different pairs of teams of ``low + step`` units there are."""
        return math.prod(group.num_teams(step) for group in (*self.allies, *self.enemies))

    def teams(self) -> Iterator[tuple[Team, Team]]:
        """All different pairs of teams; the team of an empty group has no units."""
        for step in range(self.width + 1):
            allies, enemies = (
                product(*(group.teams(step) for group in side))
                for side in (self.allies, self.enemies)
            )
            for ours, theirs in product(allies, enemies):
                yield sum(ours, ()), sum(theirs, ())

    def draw(self, rng: np.random.Generator) -> tuple[Team, Team]:
        """Draws a pair of teams; all different ones are equally likely."""
        weights = np.array([float(self.num_teams(step)) for step in range(self.width + 1)])
        step = int(rng.choice(len(weights), p=weights / weights.sum())) if self.width else 0
        allies, enemies = (
            sum((group.draw(step, rng) for group in side), ())
            for side in (self.allies, self.enemies)
        )
        return allies, enemies


@dataclass(frozen=True)
class Ranged:
    """All different compositions are equally likely; see ``task.Armies``.

    Attributes:
        pairs: In rising order. No type stands twice in an army.
        alike: Both armies are the same, and ``pairs`` have no enemies.
    """

    pairs: tuple[Pair, ...]
    alike: bool
    is_family = True

    @property
    def max_allies(self) -> int:
        """The largest number of allies."""
        return sum(group.high for group in self._allies)

    @property
    def max_enemies(self) -> int:
        """The largest number of enemies."""
        return sum(group.high for group in self._enemies)

    @property
    def ally_types(self) -> frozenset[int]:
        """The unit types that an ally may have."""
        return frozenset().union(*(group.types for group in self._allies))

    @property
    def enemy_types(self) -> frozenset[int]:
        """The unit types that an enemy may have."""
        return frozenset().union(*(group.types for group in self._enemies))

    @property
    def key(self) -> object:
        """Equal for equal battles, whatever their names."""
        return self

    def draw(self, rng: np.random.Generator) -> Composition:
        """Draws the units of both armies, without a list of all compositions."""
        return self._composition([pair.draw(rng) for pair in self.pairs])

    def compositions(self) -> Iterator[tuple[Composition, float]]:
        """All compositions, each with its probability."""
        number = math.prod(
            sum(pair.num_teams(step) for step in range(pair.width + 1)) for pair in self.pairs
        )
        for drawn in product(*(pair.teams() for pair in self.pairs)):
            yield self._composition(drawn), 1 / number

    @property
    def _allies(self) -> list[Group]:
        return [group for pair in self.pairs for group in pair.allies]

    @property
    def _enemies(self) -> list[Group]:
        if self.alike:
            return self._allies
        return [group for pair in self.pairs for group in pair.enemies]

    def _composition(self, drawn: Iterable[tuple[Team, Team]]) -> Composition:
        ours, theirs = zip(*drawn, strict=True)
        allies = tuple(sorted(sum(ours, ())))
        return Composition(allies, allies if self.alike else tuple(sorted(sum(theirs, ()))))
