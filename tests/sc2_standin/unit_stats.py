"""The numbers of the unit types.

Health, shield, armour, speed, sight and size are from the map's own unit data; weapons are from
the game's version 4.10. Times are in game loops. A "normal" second of the game's data has 16 loops,
a second of play has 22.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

LOOPS_PER_NORMAL_SECOND = 16.0
# A shield recovers by 2 per normal second once the unit was not damaged for 10.
SHIELD_DELAY_LOOPS = 160
SHIELD_PER_LOOP = 2.0 / LOOPS_PER_NORMAL_SECOND
# A medivac heals 9 health per normal second, 3 per point of energy. Energy recovers by 0.5625.
HEAL_PER_LOOP = 9.0 / LOOPS_PER_NORMAL_SECOND
HEALTH_PER_ENERGY = 3.0
ENERGY_PER_LOOP = 0.5625 / LOOPS_PER_NORMAL_SECOND
HEAL_RANGE, START_ENERGY, MOST_ENERGY = 4.0, 50.0, 200.0
# Zerg units recover 0.2734 health per normal second.
ZERG = frozenset({"Baneling", "Hydralisk", "Zergling"})
ZERG_HEALTH_PER_LOOP = 0.2734 / LOOPS_PER_NORMAL_SECOND
MIN_DAMAGE = 0.5  # after armour


@dataclass(frozen=True)
class Weapon:
    """The weapon of a unit type.

    Attributes:
        damage: Damage of one hit.
        range: Map units between the edges of the two units.
        period: Loops between two attacks.
        hits: Hits of one attack.
        bonus: An attribute, and the extra damage against units that have it.
        hits_air: Whether it can attack flying units.
        blast: The radius in which it hits all enemies; if not 0, the attacker dies.
    """

    damage: float
    range: float
    period: float
    hits: int = 1
    bonus: tuple[str, float] | None = None
    hits_air: bool = False
    blast: float = 0.0


@dataclass(frozen=True)
class UnitStats:
    """A unit type; ``speed`` in map units per loop, ``standard_id`` the id of the enemy's units."""

    name: str
    standard_id: int
    health: float
    shield: float
    armour: float
    speed: float
    radius: float
    sight: float
    attributes: frozenset[str]
    weapon: Weapon | None
    flies: bool = False

    @property
    def regrowth(self) -> float:
        """Health that recovers per loop."""
        return ZERG_HEALTH_PER_LOOP if self.name in ZERG else 0.0


def _stats(
    name: str,
    standard_id: int,
    points: tuple[float, float, float],
    body: tuple[float, float, float],
    attributes: str,
    weapon: Weapon | None,
    flies: bool = False,
) -> UnitStats:
    """Makes a type from (health, shield, armour), (speed per normal second, radius, sight), ..."""
    speed, radius, sight = body
    return UnitStats(
        name,
        standard_id,
        *points,
        speed / LOOPS_PER_NORMAL_SECOND,
        radius,
        sight,
        frozenset(attributes.split()),
        weapon,
        flies,
    )


def _gun(damage: float, range: float, period_s: float, **more: object) -> Weapon:
    return Weapon(damage, range, period_s * LOOPS_PER_NORMAL_SECOND, **more)  # type: ignore[arg-type]


# In the order of the map's own types.
STATS: tuple[UnitStats, ...] = (
    _stats(
        "Baneling",
        9,
        (30, 0, 0),
        (2.5, 0.375, 8),
        "Biological",
        _gun(20, 0.25, 0.833, bonus=("Light", 15), blast=2.2),
    ),
    _stats(
        "Colossus",
        4,
        (200, 150, 1),
        (2.25, 1.0, 10),
        "Armored Mechanical Massive",
        _gun(10, 7, 1.5, hits=2, bonus=("Light", 5)),
    ),
    _stats(
        "Hydralisk",
        107,
        (80, 0, 0),
        (2.25, 0.625, 9),
        "Light Biological",
        _gun(12, 5, 0.83, hits_air=True),
    ),
    _stats(
        "Marauder",
        51,
        (125, 0, 1),
        (2.25, 0.5625, 10),
        "Armored Biological",
        _gun(10, 6, 1.5, bonus=("Armored", 10)),
    ),
    _stats(
        "Marine",
        48,
        (45, 0, 0),
        (2.25, 0.375, 9),
        "Light Biological",
        _gun(6, 5, 0.8608, hits_air=True),
    ),
    _stats("Medivac", 54, (150, 0, 1), (2.5, 0.75, 11), "Armored Mechanical", None, flies=True),
    _stats(
        "Stalker",
        74,
        (80, 80, 1),
        (2.9531, 0.625, 10),
        "Armored Mechanical",
        _gun(13, 6, 1.87, bonus=("Armored", 5), hits_air=True),
    ),
    _stats(
        "Zealot", 73, (100, 50, 1), (2.25, 0.5, 9), "Light Biological", _gun(8, 0.1, 1.2, hits=2)
    ),
    _stats(
        "Zergling", 105, (35, 0, 0), (2.9531, 0.375, 8), "Light Biological", _gun(5, 0.1, 0.696)
    ),
)

BY_NAME = {stats.name: stats for stats in STATS}
OWN = "_RL"  # the end of the names of a map's own types
OWN_MEDIVAC_SPEED = 2.75 / LOOPS_PER_NORMAL_SECOND  # the standard medivac's is 2.5
MISSPELT = {"Colosus": "Colossus"}  # as most maps spell it


class UnitTypes:
    """The unit types of a game by their ids: the standard ones, then those of the map.

    Args:
        num_standard: The number of standard types, which depends on the build.
        own: The names of the map's own types, in the order of their ids.
    """

    def __init__(self, num_standard: int, own: Sequence[str]) -> None:
        self.num_standard = num_standard
        self._names = {stats.standard_id: stats.name for stats in STATS}
        self._names |= dict(enumerate(own, num_standard))
        self._ids = {name: unit_type for unit_type, name in self._names.items()}
        self._stats = {unit_type: _stats_of(name) for unit_type, name in self._names.items()}
        self.ids = range(num_standard + len(own))

    def stats(self, unit_type: int) -> UnitStats | None:
        """The numbers of a type; None for the types that do not appear in these battles."""
        return self._stats.get(unit_type)

    def name(self, unit_type: int) -> str:
        """The type's name in the game's catalogue."""
        return self._names[unit_type]

    def id(self, name: str) -> int:
        """The id of the type with this name."""
        return self._ids[name]

    def fires_on_its_own(self, unit_type: int) -> bool:
        """Whether an idle unit attacks enemies in range. The map's own types do not."""
        return unit_type < self.num_standard


def _stats_of(name: str) -> UnitStats:
    base = name.removesuffix(OWN)
    stats = BY_NAME[MISSPELT.get(base, base)]
    return replace(stats, speed=OWN_MEDIVAC_SPEED) if name == f"Medivac{OWN}" else stats
