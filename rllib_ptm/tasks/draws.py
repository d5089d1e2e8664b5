"""How each episode draws its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from envs.starcraft.tasks import Task
from envs.starcraft.units import FloatArray


def _uniform(tasks: Sequence[Task], priorities: Mapping[str, float]) -> FloatArray:
    return np.full(len(tasks), 1.0 / len(tasks))


def _by_priority(tasks: Sequence[Task], priorities: Mapping[str, float]) -> FloatArray:
    return np.array([priorities[task.name] for task in tasks])


# How an episode draws its task: the chance of each, given the tasks' priorities.
TASK_DRAWS: dict[str, Callable[[Sequence[Task], Mapping[str, float]], FloatArray]] = {
    "uniform": _uniform,
    "priority": _by_priority,
}
