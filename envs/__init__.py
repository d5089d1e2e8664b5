"""Battles: StarCraft micro-battles of several team sizes, for learning and for play.

`parallel_env` gives one battle agent by agent (PettingZoo). `Battles` plays N battles side by
side in arrays, which is what training reads. Tasks have SMAC's names (`Task`, `TASK_SETS`).

The package needs neither torch nor Ray. Its names are loaded when they are first used, so
importing it costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envs.lazy_names import lazy_names

if TYPE_CHECKING:
    from envs.errors import InputError as InputError
    from envs.multi_task_sc2_v0 import parallel_env as parallel_env
    from envs.starcraft.backends import EnvSettings as EnvSettings
    from envs.starcraft.battles import Battles as Battles
    from envs.starcraft.render import picture as picture
    from envs.starcraft.tasks import TASK_SETS as TASK_SETS
    from envs.starcraft.tasks import Task as Task
    from envs.starcraft.tasks import parse_tasks as parse_tasks
    from envs.starcraft.units import Units as Units
    from envs.starcraft.video import write_film as write_film
    from envs.starcraft.video import write_video as write_video

_HOMES = {
    "Battles": "envs.starcraft.battles",
    "EnvSettings": "envs.starcraft.backends",
    "InputError": "envs.errors",
    "TASK_SETS": "envs.starcraft.tasks",
    "Task": "envs.starcraft.tasks",
    "Units": "envs.starcraft.units",
    "parallel_env": "envs.multi_task_sc2_v0",
    "parse_tasks": "envs.starcraft.tasks",
    "picture": "envs.starcraft.render",
    "write_film": "envs.starcraft.video",
    "write_video": "envs.starcraft.video",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
