"""A task: what draws the armies of each of its battles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..units import UNIT_TYPES, IntArray, Units
from .letters import LETTER_OF_TYPE


@dataclass(frozen=True)
class Composition:
    """The armies of one battle.

    Where both armies are alike, the k-th ally and the k-th enemy have the same type.

    Attributes:
        allies: The unit type of each ally, as an index into ``UNIT_TYPES``.
        enemies: The unit type of each enemy, likewise.
    """

    allies: tuple[int, ...]
    enemies: tuple[int, ...]

    @classmethod
    def of(cls, battle: Units) -> Composition:
        """The armies of one battle, without the leading ``N``, at any of its steps."""
        allies, enemies = np.split(np.arange(len(battle.present)), [battle.max_allies])
        return cls(*(_army(battle, slots) for slots in (allies, enemies)))

    @property
    def name(self) -> str:
        """A task's name, the same for equal battles: ``"2s1z"``, ``"5m_vs_6m"``.

        The order of an army's units changes nothing, as their slots are random.
        """
        allies, enemies = _army_name(self.allies), _army_name(self.enemies)
        return allies if allies == enemies else f"{allies}_vs_{enemies}"


def _army(battle: Units, slots: IntArray) -> tuple[int, ...]:
    return tuple(sorted(battle.unit_type[slots[battle.present[slots]]].tolist()))


def _army_name(army: tuple[int, ...]) -> str:
    return "".join(
        f"{count}{LETTER_OF_TYPE[unit]}" for unit, count in sorted(Counter(army).items())
    )


class Armies(Protocol):
    """What a task draws its battles from.

    Attributes:
        max_allies: The largest number of allies of a battle.
        max_enemies: The largest number of enemies of a battle.
        ally_types: The unit types that an ally may have, as indices into ``UNIT_TYPES``.
        enemy_types: The unit types that an enemy may have, likewise.
        is_family: Whether battles differ.
        key: Two tasks are the same battles if and only if their keys are equal.
    """

    @property
    def max_allies(self) -> int:
        """The largest number of allies of a battle."""

    @property
    def max_enemies(self) -> int:
        """The largest number of enemies of a battle."""

    @property
    def ally_types(self) -> frozenset[int]:
        """The unit types that an ally may have."""

    @property
    def enemy_types(self) -> frozenset[int]:
        """The unit types that an enemy may have."""

    @property
    def is_family(self) -> bool:
        """Whether battles differ."""

    @property
    def key(self) -> object:
        """Equal for equal battles, whatever their names."""

    def draw(self, rng: np.random.Generator) -> Composition:
        """Draws the armies of a battle."""

    def compositions(self) -> Iterator[tuple[Composition, float]]:
        """All compositions, each with its probability."""


@dataclass(frozen=True)
class Fixed:
    """The same armies in every battle; see ``Armies``."""

    composition: Composition
    is_family = False

    @property
    def max_allies(self) -> int:
        """The number of allies."""
        return len(self.composition.allies)

    @property
    def max_enemies(self) -> int:
        """The number of enemies."""
        return len(self.composition.enemies)

    @property
    def ally_types(self) -> frozenset[int]:
        """The unit types of the allies."""
        return frozenset(self.composition.allies)

    @property
    def enemy_types(self) -> frozenset[int]:
        """The unit types of the enemies."""
        return frozenset(self.composition.enemies)

    @property
    def key(self) -> object:
        """Equal for two names of one battle."""
        return self.composition.name

    def draw(self, rng: np.random.Generator) -> Composition:
        """The armies; draws nothing from ``rng``."""
        return self.composition

    def compositions(self) -> Iterator[tuple[Composition, float]]:
        """The one composition."""
        yield self.composition, 1.0


@dataclass(frozen=True)
class Task:
    """A name with one success rate, and the armies that its battles draw.

    Attributes:
        name: The name that it was parsed from.
        armies: What its battles are drawn from.
    """

    name: str
    armies: Armies

    @property
    def max_allies(self) -> int:
        """The largest number of allies of a battle."""
        return self.armies.max_allies

    @property
    def max_enemies(self) -> int:
        """The largest number of enemies of a battle."""
        return self.armies.max_enemies

    @property
    def ally_types(self) -> frozenset[int]:
        """The unit types that an ally may have, as indices into ``UNIT_TYPES``."""
        return self.armies.ally_types

    @property
    def enemy_types(self) -> frozenset[int]:
        """The unit types that an enemy may have, as indices into ``UNIT_TYPES``."""
        return self.armies.enemy_types

    @property
    def is_family(self) -> bool:
        """Whether each battle draws its composition; else all battles have the same one."""
        return self.armies.is_family

    def unit_names(self) -> frozenset[str]:
        """The names of the unit types that may fight."""
        return frozenset(UNIT_TYPES[t] for t in self.ally_types | self.enemy_types)

    def composition_of(self, battle: Units) -> str:
        """What one of its battles was fought with; its own name if it is no family.

        Args:
            battle: One battle, without the leading ``N``, at any of its steps.
        """
        return Composition.of(battle).name if self.is_family else self.name

    def title_of(self, battle: Units) -> str:
        """What stands above a picture of one of its battles: a family's composition, too."""
        return f"{self.name}: {self.composition_of(battle)}" if self.is_family else self.name

    def draw(self, rng: np.random.Generator) -> Composition:
        """Draws the composition of a battle. A task that is no family draws nothing."""
        return self.armies.draw(rng)

    def compositions(self) -> Iterator[tuple[Composition, float]]:
        """All compositions, each with its probability."""
        return self.armies.compositions()
