"""The start of a battle: unit positions and slots, the same for every backend.

The armies start at opposite ends of a line through the map's centre (REFIL's scenario). Every
episode assigns the units to random slots. The slot is the tag that attack actions name, so every
slot is trained for every team size. Shape legend: see ``envs.starcraft.units``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...checks.errors import InputError
from .tasks import Task
from .units import BoolArray, FloatArray, IntArray

ARMY_DISTANCE = 14.0  # map units between the centres of the armies
JITTER = 1.0  # map units; the largest offset of a unit from its army's centre in x and in y


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


def draw_spawn(task: Task, max_allies: int, max_enemies: int, rng: np.random.Generator) -> Spawn:
    """Draws units, slots and positions for one battle.

    Args:
        task: Draws the units of both armies.
        max_allies: Number of ally slots, A.
        max_enemies: Number of enemy slots, F.
        rng: Draws the composition of a family, then the angle, the jitter and the slots.
    """
    composition = task.draw(rng)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    ally_point = ARMY_DISTANCE / 2 * np.array([np.cos(angle), np.sin(angle)])
    slots = max_allies + max_enemies
    present = np.zeros(slots, bool)
    unit_type = np.zeros(slots, np.int64)
    position = np.zeros((slots, 2), np.float32)
    sides = (
        (composition.allies, ally_point, rng.permutation(max_allies)),
        (composition.enemies, -ally_point, max_allies + rng.permutation(max_enemies)),
    )
    for army, point, tags in sides:
        slot = tags[: len(army)]
        present[slot] = True
        unit_type[slot] = army
        position[slot] = point + rng.uniform(-JITTER, JITTER, (len(army), 2))
    return Spawn(present, unit_type, position)
