"""Where a battle begins: the same geometry and the same tags for every backend.

The armies stand at opposite ends of a line through the map's centre (REFIL's scenario). Every
episode draws which slot each unit gets; the slot is the tag that attack actions name, so every
slot is trained whatever the team sizes. Shape legend: see ``envs.starcraft.units``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from envs.starcraft.tasks import Task
from envs.starcraft.units import BoolArray, FloatArray, IntArray

ARMIES_APART = 14.0
JITTER = 1.0


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


def draw_spawn(task: Task, max_allies: int, max_enemies: int, rng: np.random.Generator) -> Spawn:
    """Draws slots and positions for one battle.

    Args:
        task: Who fights.
        max_allies: Number of ally slots, A.
        max_enemies: Number of enemy slots, F.
        rng: Decides the angle, the jitter and the slots.
    """
    angle = rng.uniform(0.0, 2.0 * np.pi)
    ally_point = ARMIES_APART / 2 * np.array([np.cos(angle), np.sin(angle)])
    slots = max_allies + max_enemies
    present = np.zeros(slots, bool)
    unit_type = np.zeros(slots, np.int64)
    position = np.zeros((slots, 2), np.float32)
    sides = (
        (task.allies, ally_point, rng.permutation(max_allies)),
        (task.enemies, -ally_point, max_allies + rng.permutation(max_enemies)),
    )
    for army, point, tags in sides:
        slot = tags[: len(army)]
        present[slot] = True
        unit_type[slot] = army
        position[slot] = point + rng.uniform(-JITTER, JITTER, (len(army), 2))
    return Spawn(present, unit_type, position)
