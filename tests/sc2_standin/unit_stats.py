"""The numbers of the unit types.

Health, shield, armour, speed, sight and size are those of the map's own unit data; weapons are the
game's at version 4.10. Times are in game loops: 16 to the "normal" second in which the game's data
counts, 22.4 to the second that a player sees.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOPS_PER_NORMAL_SECOND = 16.0
NUM_STANDARD_TYPES = 1970  # about as many as the game has; the map's own nine come after them
# Shields grow again when a unit was not hurt for 10 normal seconds, by 2 a second.
SHIELD_DELAY_LOOPS = 160
SHIELD_PER_LOOP = 2.0 / LOOPS_PER_NORMAL_SECOND
# A medivac heals 9 a normal second, 3 for each point of its energy, which grows by 0.5625.
HEAL_PER_LOOP = 9.0 / LOOPS_PER_NORMAL_SECOND
HEALTH_PER_ENERGY = 3.0
ENERGY_PER_LOOP = 0.5625 / LOOPS_PER_NORMAL_SECOND
HEAL_RANGE, START_ENERGY, MOST_ENERGY = 4.0, 50.0, 200.0
# What the Zerg lose grows again, by 0.2734 a normal second.
ZERG = frozenset({"Baneling", "Hydralisk", "Zergling"})
ZERG_HEALTH_PER_LOOP = 0.2734 / LOOPS_PER_NORMAL_SECOND
LEAST_DAMAGE = 0.5  # armour leaves that much


@dataclass(frozen=True)
class Weapon:
    """What a unit fires.

    Attributes:
        damage: Of one hit.
        range: Between the edges of two units, map units.
        period: Loops between two shots.
        hits: In one shot.
        bonus: More damage against units of an attribute.
        hits_air: Whether it reaches what flies.
        blast: Radius in which it hits all, and kills who fires it.
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
    """A unit type; ``speed`` in map units a loop, ``standard_id`` that of the enemy's units."""

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
        """Health that comes back in a loop."""
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
    """From (health, shield, armour), (speed a normal second, radius, sight) and the rest."""
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

# By the id in messages. The map's own types do not fire on their own.
BY_ID: dict[int, UnitStats] = {stats.standard_id: stats for stats in STATS} | {
    NUM_STANDARD_TYPES + i: stats for i, stats in enumerate(STATS)
}


def fires_on_its_own(unit_type: int) -> bool:
    """Whether an idle unit of this type shoots at enemies in range."""
    return unit_type < NUM_STANDARD_TYPES
