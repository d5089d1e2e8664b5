"""Simulates a battle on a flat map: units, their orders, and one game loop at a time."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sc2_standin.maps import FLAT, Map
from sc2_standin.unit_stats import (
    ENERGY_PER_LOOP,
    HEAL_PER_LOOP,
    HEAL_RANGE,
    HEALTH_PER_ENERGY,
    MIN_DAMAGE,
    MOST_ENERGY,
    SHIELD_DELAY_LOOPS,
    SHIELD_PER_LOOP,
    START_ENERGY,
    UnitStats,
    UnitTypes,
    Weapon,
)

MAP_SIZE = 32
LEARNER, ENEMY = 1, 2
STOP, MOVE, ATTACK, HEAL = 4, 16, 23, 386
# The trigger of a map that hunts orders idle enemies to attack the closest unit every half second.
TRIGGER_LOOPS = 8
SCAN_RANGE = 5.0  # units that are idle or attack towards a point fight who comes this close
CROWDED_LOOPS = 20  # units that a map places at one point are pushed apart this often


@dataclass
class Order:
    """An order: an ability, and a target unit or point."""

    ability: int
    target: int | None = None
    point: tuple[float, float] | None = None


@dataclass
class Unit:
    """A living unit; ``cooldown`` in loops, ``hurt_at`` the loop of the last damage."""

    tag: int
    unit_type: int
    owner: int
    x: float
    y: float
    stats: UnitStats
    health: float
    shield: float
    energy: float
    cooldown: float = 0.0
    hurt_at: int = -SHIELD_DELAY_LOOPS
    order: Order | None = None


class World:
    """The units of a game. Equal seeds and equal orders give equal battles.

    Args:
        seed: The seed of the random numbers.
        num_standard_types: The number of standard unit types of the build.
        map: The map, which may place units.

    Attributes:
        controlled: The owners of the units that obey the learner.
        invulnerable: The owners of the units that take no damage.
        minerals: The learner's, without use in a battle; so are ``vespene`` and ``score``.
    """

    def __init__(self, seed: int, num_standard_types: int, map: Map = FLAT) -> None:
        self.loop = 0
        self.map = map
        self.types = UnitTypes(num_standard_types, map.own_types)
        self.units: dict[int, Unit] = {}
        self.dead: list[int] = []
        self.controlled = {LEARNER}
        self.invulnerable: set[int] = set()
        self.minerals = self.vespene = 0
        self.score = 0.0
        self._random = random.Random(seed)
        self._tags = itertools.count(4294967297, 262144)  # as large as the game's tags
        self._at_next_loop: list[Callable[[], None]] = []
        self._place_armies()

    def create(self, unit_type: int, owner: int, x: float, y: float) -> None:
        """Creates a unit in the next loop, as the game does."""
        unit = self._new_unit(unit_type, owner, x, y)
        self._at_next_loop.append(lambda: self.units.update({unit.tag: unit}))

    def kill(self, tags: Iterable[int]) -> None:
        """Removes units in the next loop."""
        gone = list(tags)

        def remove() -> None:
            for tag in gone:
                self._remove(tag)

        self._at_next_loop.append(remove)

    def order(self, tag: int, order: Order) -> None:
        """Replaces a unit's order."""
        self.units[tag].order = None if order.ability == STOP else order

    def advance(self) -> None:
        """Plays one game loop."""
        self.loop += 1
        for change in self._at_next_loop:
            change()
        self._at_next_loop = []
        if self.map.hunts and self.loop % TRIGGER_LOOPS == 0:
            self._send_idle_enemies()
        turn = list(self.units.values())
        self._random.shuffle(turn)  # as in the game, no unit always attacks first
        for unit in turn:
            if unit.tag in self.units:
                self._act(unit)
        self._push_apart()
        for unit in self.units.values():
            self._recover(unit)
        if not self.units and self.map.armies:
            self._place_armies()

    def _new_unit(self, unit_type: int, owner: int, x: float, y: float) -> Unit:
        stats = self.types.stats(unit_type)
        assert stats is not None
        energy = START_ENERGY if stats.weapon is None else 0.0
        return Unit(
            next(self._tags), unit_type, owner, x, y, stats, stats.health, stats.shield, energy
        )

    def _place_armies(self) -> None:
        """Places the map's armies at once and sends the enemies to attack, as its trigger does."""
        for army in self.map.armies:
            for name, count in army.units.items():
                for _ in range(count):
                    unit = self._new_unit(self.types.id(name), army.owner, *army.at)
                    self.units[unit.tag] = unit
                    if army.owner == ENEMY and self.map.attack is not None:
                        unit.order = Order(ATTACK, point=self.map.attack)
        for _ in range(CROWDED_LOOPS):
            self._push_apart()

    def _send_idle_enemies(self) -> None:
        """Sends each to the closest unit. It stays idle if it cannot hit that one, which flies."""
        for unit in self.units.values():
            if unit.owner == ENEMY and unit.order is None:
                closest = self._nearest(unit, self._units_of(LEARNER))
                if closest is not None and can_hit(unit, closest):
                    unit.order = Order(ATTACK, closest.tag)

    def _act(self, unit: Unit) -> None:
        unit.cooldown = max(unit.cooldown - 1.0, 0.0)
        order = unit.order
        if order is None:
            if self.types.fires_on_its_own(unit.unit_type):
                self._act_idle(unit)
        elif order.target is not None:
            self._act_on(unit, order.ability, order.target)
        elif order.ability == ATTACK and self._engage(unit):
            pass
        elif order.point is not None and self._walk(unit, *order.point):
            unit.order = None

    def _act_on(self, unit: Unit, ability: int, tag: int) -> None:
        """Follows an order with a target unit: attack, heal, or move there."""
        target = self.units.get(tag)
        if target is None:
            unit.order = None
        elif ability == ATTACK and can_hit(unit, target) and unit.stats.weapon is not None:
            self._fire_or_follow(unit, target, unit.stats.weapon)
        elif ability == HEAL and can_heal(unit, target):
            self._heal_or_follow(unit, target)
        elif unit.stats.weapon is None and unit.owner == ENEMY:
            self._act_idle(unit)  # an enemy medivac with an attack order heals
        else:
            self._walk(unit, target.x, target.y)

    def _engage(self, unit: Unit) -> bool:
        """Fights or heals whoever is close, as on an attack towards a point; False if nobody is."""
        weapon = unit.stats.weapon
        reach = SCAN_RANGE if weapon is None else max(weapon.range, SCAN_RANGE)
        target = self._patient(unit) if weapon is None else self._nearest(unit, self._foes(unit))
        if target is None or gap(unit, target) > reach:
            return False
        if weapon is None:
            self._heal_or_follow(unit, target)
        else:
            self._fire_or_follow(unit, target, weapon)
        return True

    def _act_idle(self, unit: Unit) -> None:
        """An idle enemy fights who comes close. A medivac heals, and stays with the others."""
        if unit.stats.weapon is not None:
            self._engage(unit)
            return
        friends = [u for u in self._units_of(unit.owner) if u is not unit]
        patient = self._patient(unit)
        leader = self._nearest(unit, friends)
        if patient is not None:
            self._heal_or_follow(unit, patient)
        elif leader is not None and gap(unit, leader) > HEAL_RANGE / 2:
            self._walk(unit, leader.x, leader.y)

    def _patient(self, unit: Unit) -> Unit | None:
        """The closest unit that a medivac could heal."""
        hurt = [u for u in self.units.values() if can_heal(unit, u) and is_hurt(u)]
        return self._nearest(unit, hurt)

    def _fire_or_follow(self, unit: Unit, target: Unit, weapon: Weapon) -> None:
        if gap(unit, target) > weapon.range:
            self._walk(unit, target.x, target.y)
        elif unit.cooldown <= 0.0:
            unit.cooldown = weapon.period
            if not weapon.blast:
                return self._hurt(target, weapon)
            for other in self._foes(unit):
                if math.hypot(other.x - unit.x, other.y - unit.y) <= weapon.blast:
                    self._hurt(other, weapon)
            self._remove(unit.tag)
        return None

    def _heal_or_follow(self, unit: Unit, target: Unit) -> None:
        if gap(unit, target) > HEAL_RANGE:
            self._walk(unit, target.x, target.y)
        elif is_hurt(target):
            most = min(HEAL_PER_LOOP, unit.energy * HEALTH_PER_ENERGY)
            healed = min(most, target.stats.health - target.health)
            target.health += healed
            unit.energy -= healed / HEALTH_PER_ENERGY
        elif unit.order is not None and unit.order.ability == HEAL:
            unit.order = None

    def _hurt(self, target: Unit, weapon: Weapon) -> None:
        if target.owner in self.invulnerable:
            return
        damage = weapon.damage
        if weapon.bonus is not None and weapon.bonus[0] in target.stats.attributes:
            damage += weapon.bonus[1]
        for _ in range(weapon.hits):
            absorbed = min(target.shield, damage)
            target.shield -= absorbed
            if damage > absorbed:
                left = damage - absorbed
                target.health -= max(left - target.stats.armour, MIN_DAMAGE)
        target.hurt_at = self.loop
        if target.health <= 0.0:
            self._remove(target.tag)

    def _remove(self, tag: int) -> None:
        if self.units.pop(tag, None) is not None:
            self.dead.append(tag)

    def _units_of(self, owner: int) -> list[Unit]:
        return [unit for unit in self.units.values() if unit.owner == owner]

    def _foes(self, unit: Unit) -> list[Unit]:
        return [u for u in self.units.values() if u.owner != unit.owner and can_hit(unit, u)]

    def _nearest(self, unit: Unit, others: Iterable[Unit]) -> Unit | None:
        return min(others, key=lambda u: (u.x - unit.x) ** 2 + (u.y - unit.y) ** 2, default=None)

    def _walk(self, unit: Unit, x: float, y: float) -> bool:
        """Moves towards a point for one loop; True on arrival."""
        away = math.hypot(x - unit.x, y - unit.y)
        step = unit.stats.speed
        if away <= step:
            unit.x, unit.y = _inside(x), _inside(y)
            return True
        unit.x = _inside(unit.x + (x - unit.x) * step / away)
        unit.y = _inside(unit.y + (y - unit.y) * step / away)
        return False

    def _push_apart(self) -> None:
        """Pushes overlapping units apart, each by half of the overlap."""
        for one, other in itertools.combinations(self.units.values(), 2):
            room = one.stats.radius + other.stats.radius
            dx, dy = other.x - one.x, other.y - one.y
            if abs(dx) >= room or abs(dy) >= room or one.stats.flies != other.stats.flies:
                continue
            away = math.hypot(dx, dy)
            if away >= room:
                continue
            if away < 1e-6:
                angle = self._random.uniform(0.0, 2 * math.pi)
                dx, dy, away = math.cos(angle), math.sin(angle), 1.0
                push = room / 2
            else:
                push = (room - away) / 2
            one.x, one.y = _inside(one.x - dx / away * push), _inside(one.y - dy / away * push)
            other.x = _inside(other.x + dx / away * push)
            other.y = _inside(other.y + dy / away * push)

    def _recover(self, unit: Unit) -> None:
        stats = unit.stats
        if unit.shield < stats.shield and self.loop - unit.hurt_at >= SHIELD_DELAY_LOOPS:
            unit.shield = min(unit.shield + SHIELD_PER_LOOP, stats.shield)
        unit.health = min(unit.health + stats.regrowth, max(unit.health, stats.health))
        if stats.weapon is None:
            unit.energy = min(unit.energy + ENERGY_PER_LOOP, MOST_ENERGY)


def can_hit(unit: Unit, target: Unit) -> bool:
    """Whether the unit's weapon can attack the target, on the ground or in the air."""
    weapon = unit.stats.weapon
    # A medivac cannot attack, but it follows its target.
    return weapon is None or weapon.hits_air or not target.stats.flies


def can_heal(unit: Unit, target: Unit) -> bool:
    """Whether the unit can heal the target."""
    return (
        unit.stats.weapon is None
        and unit.owner == target.owner
        and "Biological" in target.stats.attributes
    )


def is_hurt(unit: Unit) -> bool:
    """Whether the unit has lost health."""
    return unit.health < unit.stats.health


def gap(one: Unit, other: Unit) -> float:
    """The distance between the edges of two units, which weapon ranges use."""
    centres = math.hypot(other.x - one.x, other.y - one.y)
    return centres - one.stats.radius - other.stats.radius


def _inside(coordinate: float) -> float:
    return min(max(coordinate, 0.0), float(MAP_SIZE))
