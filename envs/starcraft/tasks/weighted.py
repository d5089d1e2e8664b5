"""Armies whose units are drawn one by one, with a probability for each unit type (SMACv2)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from .task import Composition

Team = tuple[int, ...]


@dataclass(frozen=True)
class Weighted:
    """The enemies are the same units as the allies, and some more; see ``task.Armies``.

    Source: Ellis et al., *SMACv2* (2023), its distribution ``weighted_teams``.

    Attributes:
        weights: The unit types, and the probability of each.
        num_allies: The number of allies.
        num_extra: The number of further enemies, drawn apart.
        never_alone: A team of such types only is drawn again: it cannot fight, or not long. This
            holds for the allies, and for the further enemies by themselves.
    """

    weights: tuple[tuple[int, float], ...]
    num_allies: int
    num_extra: int
    never_alone: frozenset[int]
    is_family = True

    @property
    def max_allies(self) -> int:
        """The number of allies."""
        return self.num_allies

    @property
    def max_enemies(self) -> int:
        """The number of enemies."""
        return self.num_allies + self.num_extra

    @property
    def ally_types(self) -> frozenset[int]:
        """All types."""
        return frozenset(unit_type for unit_type, _ in self.weights)

    @property
    def enemy_types(self) -> frozenset[int]:
        """All types."""
        return self.ally_types

    @property
    def key(self) -> object:
        """Equal for equal battles, whatever their names."""
        return self

    def draw(self, rng: np.random.Generator) -> Composition:
        """Draws the units of both armies."""
        team = self._draw_team(self.num_allies, rng)
        return Composition(team, team + self._draw_team(self.num_extra, rng))

    def compositions(self) -> Iterator[tuple[Composition, float]]:
        """All compositions, each with its probability."""
        for team, of_team in self._teams(self.num_allies):
            for extra, of_extra in self._teams(self.num_extra):
                yield Composition(team, team + extra), of_team * of_extra

    def _draw_team(self, size: int, rng: np.random.Generator) -> Team:
        types, weights = zip(*self.weights, strict=True)
        while True:
            team = tuple(sorted(rng.choice(types, size, p=weights).tolist()))
            if not self._is_refused(team):
                return team

    def _teams(self, size: int) -> Iterator[tuple[Team, float]]:
        """All teams of a size, each with its probability."""
        probability_of = dict(self.weights)
        refused = sum(probability_of[unit_type] for unit_type in self.never_alone) ** size
        kept = 1.0 - refused if size else 1.0
        for team in combinations_with_replacement(probability_of, size):
            if not self._is_refused(team):
                orders = math.factorial(size)
                for count in Counter(team).values():
                    orders //= math.factorial(count)
                yield team, orders * math.prod(probability_of[t] for t in team) / kept

    def _is_refused(self, team: Team) -> bool:
        return bool(team) and self.never_alone.issuperset(team)
