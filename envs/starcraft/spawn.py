"""The start of a battle: unit positions and slots, the same for every backend.

``SPAWNS`` is the table of rules that place the armies. Every episode assigns the units to random
slots. The slot is the tag that attack actions name, so every slot is trained for every team size.

Sources: REFIL's ``starcraft2custom.py`` (Iqbal et al., 2021), SMAX's ``smax_env.py`` and
``distributions.py`` (Rutherford et al., 2023), SMACv2's ``distributions.py`` (Ellis et al., 2023).

Shape legend: see ``envs.starcraft.units``. Here ``a`` is the number of allies of one battle and
``f`` that of its enemies. All positions are map units from the map's centre.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from ...checks.errors import InputError
from .tasks import Composition, Task
from .tasks.names import SMAX_SIZES
from .units import HALF_MAP, BoolArray, FloatArray, IntArray

ARMY_DISTANCE = 14.0  # map units between the centres of the armies
JITTER = 1.0  # map units; the largest offset of a unit from its army's centre in x and in y
SMAX_JITTER = 2.0  # likewise, in SMAX
SMAX_ALLIES = np.array([-HALF_MAP / 2, 0.0])  # SMAX: at a quarter and three quarters of the map
SMAX_FAMILIES = frozenset(f"smacv2_{size}_units" for size in SMAX_SIZES)  # SMAX surrounds these
MIDDLE = np.zeros(2)
CORNERS = HALF_MAP * np.array([(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)])
# SMACv2 keeps its allies out of these parts of the map, so that they do not start among enemies.
SMACV2_FREE_MIDDLE = 1.0  # map units west of the centre line, if the armies are reflected
SMACV2_FREE_CENTRE = 2.0  # map units east and north of the centre, if the allies are surrounded
# Units that start at one point stand on a spiral around it: SMAX cannot separate units at exactly
# one point, and StarCraft II would arrange them much like this.
SPIRAL_SPACING = 0.5  # map units
SPIRAL_TURN = np.pi * (3.0 - np.sqrt(5.0))  # the golden angle
# Units do not start closer to the map's edge, except in SMAX where walls kill.
EDGE_MARGIN = 0.5  # map units

Points = npt.NDArray[np.float64]  # [..., 2]
Rng = np.random.Generator
Place = Callable[
    [Composition, Rng], tuple[Points, Points]
]  # positions of the allies and the enemies
SpawnRule = Callable[[Rng], Place]


@dataclass(frozen=True)
class Spawn:
    """The start of one battle.

    Attributes:
        present: [E] bool.
        unit_type: [E] int; index into ``UNIT_TYPES``, 0 where absent.
        position: [E, 2] map units from the map's centre, 0 where absent.
    """

    present: BoolArray
    unit_type: IntArray
    position: FloatArray


def check_fits(task: Task, max_allies: int, max_enemies: int) -> None:
    """Raises InputError if an army of the task is larger than its side's number of slots."""
    if task.max_allies > max_allies or task.max_enemies > max_enemies:
        raise InputError(
            f"task {task.name!r} has {task.max_allies} allies and {task.max_enemies} "
            f"enemies, more than the {max_allies} and {max_enemies} slots"
        )


def draw_spawn(
    task: Task,
    max_allies: int,
    max_enemies: int,
    rng: Rng,
    rule: str = "ends",
    *,
    beyond_edge: bool = False,
) -> Spawn:
    """Draws units, slots and positions for one battle.

    Args:
        task: Draws the units of both armies.
        max_allies: Number of ally slots, A.
        max_enemies: Number of enemy slots, F.
        rng: Draws the composition of a family, then the positions and the slots.
        rule: A row of ``SPAWNS``.
        beyond_edge: Leaves units where the rule puts them beyond the map's edge, instead of
            turning them back onto the map.
    """
    composition = task.draw(rng)
    place = _rule_of(task, rule)(rng)
    slots = max_allies + max_enemies
    present = np.zeros(slots, bool)
    unit_type = np.zeros(slots, np.int64)
    position = np.zeros((slots, 2), np.float32)
    tags = rng.permutation(max_allies), max_allies + rng.permutation(max_enemies)
    armies = composition.allies, composition.enemies
    for army, where, side_tags in zip(armies, place(composition, rng), tags, strict=True):
        slot = side_tags[: len(army)]
        present[slot] = True
        unit_type[slot] = army
        position[slot] = where
    if not beyond_edge:
        _turn_back_at_the_edge(position)
    return Spawn(present, unit_type, position)


def _turn_back_at_the_edge(position: FloatArray) -> None:
    """Mirrors what is beyond the edge back onto the map; clipping would stack units in corners."""
    beyond = np.abs(position) - (HALF_MAP - EDGE_MARGIN)
    if beyond.max() > 0:
        position -= 2 * np.sign(position) * np.maximum(beyond, 0.0)


def _ends(rng: Rng) -> Place:
    """The armies at opposite ends of a line through the centre, at a random angle."""
    return partial(_two_armies, _end_of_the_line(rng), JITTER)


def _refil(rng: Rng) -> Place:
    """``ends``, with one jitter for all units of a type, as in REFIL."""
    return partial(_two_armies_by_type, _end_of_the_line(rng))


def _smax(rng: Rng) -> Place:
    """The armies west and east of the centre, as in SMAX."""
    return partial(_two_armies, SMAX_ALLIES, SMAX_JITTER)


def _surround_reflect(rng: Rng) -> Place:
    """SMAX's variant of SMACv2: either army is surrounded, or the armies are mirrored."""
    return _surround if rng.random() < 0.5 else partial(_reflect, 0.0)


def _smacv2(rng: Rng) -> Place:
    """SMACv2's own: the allies are surrounded, or the armies are mirrored."""
    return _surround_allies if rng.random() < 0.5 else partial(_reflect, SMACV2_FREE_MIDDLE)


# Name -> rule. A rule draws in two steps, before and after the slots are drawn.
SPAWNS: dict[str, SpawnRule] = {
    "ends": _ends,
    "refil": _refil,
    "smax": _smax,
    "surround_reflect": _surround_reflect,
    "smacv2": _smacv2,
}


def _rule_of(task: Task, rule: str) -> SpawnRule:
    """The rule that places this task's units; SMAX has two."""
    surrounds = rule == "smax" and task.name in SMAX_FAMILIES
    return SPAWNS["surround_reflect" if surrounds else rule]


def _end_of_the_line(rng: Rng) -> Points:
    angle = rng.uniform(0.0, 2.0 * np.pi)
    return ARMY_DISTANCE / 2 * np.array([np.cos(angle), np.sin(angle)])


def _two_armies(
    ally_point: Points, jitter: float, composition: Composition, rng: Rng
) -> tuple[Points, Points]:
    """The enemies opposite the allies; each unit has a jitter of its own."""
    allies = ally_point + rng.uniform(-jitter, jitter, (len(composition.allies), 2))
    enemies = -ally_point + rng.uniform(-jitter, jitter, (len(composition.enemies), 2))
    return allies, enemies


def _two_armies_by_type(
    ally_point: Points, composition: Composition, rng: Rng
) -> tuple[Points, Points]:
    """The enemies opposite the allies; all units of a type stand around one point."""
    armies = []
    for army, point in ((composition.allies, ally_point), (composition.enemies, -ally_point)):
        types = sorted(set(army))
        points = point + rng.uniform(-JITTER, JITTER, (len(types), 2))
        armies.append(_in_groups(points, [types.index(unit) for unit in army]))
    return armies[0], armies[1]


def _surround(composition: Composition, rng: Rng) -> tuple[Points, Points]:
    """One army around the centre, the other in four groups on the map's diagonals."""
    allies, enemies = len(composition.allies), len(composition.enemies)
    allies_inside = rng.random() < 0.5
    inside, outside = (allies, enemies) if allies_inside else (enemies, allies)
    groups = CORNERS * rng.uniform(0.0, 1.0, (len(CORNERS), 1))
    middle = rng.uniform(-SMAX_JITTER, SMAX_JITTER, (inside, 2))
    around = groups[rng.integers(len(groups), size=outside)]
    around = around + rng.uniform(-SMAX_JITTER, SMAX_JITTER, (outside, 2))
    return (middle, around) if allies_inside else (around, middle)


def _surround_allies(composition: Composition, rng: Rng) -> tuple[Points, Points]:
    """The allies at the centre, the enemies in one to four groups on different diagonals."""
    number = rng.integers(1, len(CORNERS) + 1)
    sizes = rng.multinomial(len(composition.enemies), np.full(number, 1.0 / number))
    nearest = SMACV2_FREE_CENTRE / HALF_MAP  # the share of the way to the corner
    share = rng.uniform(nearest, 1.0, (number, 1))
    groups = CORNERS[rng.permutation(len(CORNERS))[:number]] * share
    allies = _in_groups(MIDDLE[None], [0] * len(composition.allies))
    return allies, _in_groups(groups, np.arange(number).repeat(sizes).tolist())


def _reflect(free_middle: float, composition: Composition, rng: Rng) -> tuple[Points, Points]:
    """The allies anywhere in the west; the k-th enemy is the mirror image of the k-th ally.

    Enemies beyond the number of allies stand anywhere in the east.
    """
    west, north = -HALF_MAP, HALF_MAP
    allies = rng.uniform((west, -north), (-free_middle, north), (len(composition.allies), 2))
    extra = max(len(composition.enemies) - len(composition.allies), 0)
    anywhere = rng.uniform((0.0, -north), (-west, north), (extra, 2))
    mirrored = (allies * np.array([-1.0, 1.0]))[: len(composition.enemies)]
    return allies, np.concatenate([mirrored, anywhere])


def _in_groups(points: Points, group: Sequence[int]) -> Points:
    """Units on a spiral around the point of their group.

    Args:
        points: [G, 2] a point for each group.
        group: [n] the group of each unit.
    """
    seen: Counter[int] = Counter()
    ranks = []  # of each unit within its group
    for number in group:
        ranks.append(seen[number])
        seen[number] += 1
    rank = np.array(ranks)
    angle = SPIRAL_TURN * rank
    offset = np.sqrt(rank)[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    return points[list(group)] + SPIRAL_SPACING * offset
