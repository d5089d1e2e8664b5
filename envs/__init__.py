"""StarCraft micro-battles of several team sizes, for multi-task reinforcement learning.

``parallel_env`` makes a PettingZoo environment of one battle. ``Battles`` plays N battles in
arrays, which training uses. Tasks have SMAC's names (``Task``, ``TASK_SETS``).

The package needs neither torch nor Ray. It loads each name on first use, so importing it is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader

from ..checks.errors import InputError as InputError

if TYPE_CHECKING:
    from .multi_task_sc2_v0 import parallel_env as parallel_env
    from .starcraft.backends import EnvSettings as EnvSettings
    from .starcraft.battles import Battles as Battles
    from .starcraft.render import picture as picture
    from .starcraft.tasks import TASK_SETS as TASK_SETS
    from .starcraft.tasks import Task as Task
    from .starcraft.tasks import parse_tasks as parse_tasks
    from .starcraft.units import Units as Units
    from .starcraft.video import write_film as write_film
    from .starcraft.video import write_video as write_video

_load, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "multi_task_sc2_v0": ["parallel_env"],
        "starcraft.backends": ["EnvSettings"],
        "starcraft.battles": ["Battles"],
        "starcraft.render": ["picture"],
        "starcraft.tasks": ["TASK_SETS", "Task", "parse_tasks"],
        "starcraft.units": ["Units"],
        "starcraft.video": ["write_film", "write_video"],
    },
)
__all__ = [
    "TASK_SETS",
    "Battles",
    "EnvSettings",
    "InputError",
    "Task",
    "Units",
    "parallel_env",
    "parse_tasks",
    "picture",
    "write_film",
    "write_video",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _load(name)
