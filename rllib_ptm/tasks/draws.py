"""How each episode draws its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rllib_ptm.checks.tables import Table


def _uniform(tasks: Sequence[str], priorities: Mapping[str, float]) -> npt.NDArray[np.float64]:
    return np.full(len(tasks), 1.0 / len(tasks))


def _by_priority(tasks: Sequence[str], priorities: Mapping[str, float]) -> npt.NDArray[np.float64]:
    return np.array([priorities[task] for task in tasks])


# A task draw maps the tasks' names and their priorities to the probability of each task.
TASK_DRAWS: Table[Callable[[Sequence[str], Mapping[str, float]], npt.NDArray[np.float64]]] = Table(
    {
        "uniform": _uniform,
        "priority": _by_priority,
    }
)
