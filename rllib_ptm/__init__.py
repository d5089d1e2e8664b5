"""Multi-task cooperative learning for Ray RLlib by prioritized tasks mining.

``PTMConfig`` and ``PTM`` are RLlib's config and Algorithm. Using either makes the names ``PTM``
and ``multi_task_sc2`` known to Ray; ``register`` does so too.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.errors import InputError as InputError
    from rllib_ptm.algorithm import PTM as PTM
    from rllib_ptm.algorithm import PTMConfig as PTMConfig
    from rllib_ptm.deploy.agent_policy import AgentPolicy as AgentPolicy
    from rllib_ptm.deploy.agent_policy import policy_folder as policy_folder
    from rllib_ptm.tasks.callback import TaskPriorityCallback as TaskPriorityCallback

__all__ = [
    "PTM",
    "AgentPolicy",
    "InputError",
    "PTMConfig",
    "TaskPriorityCallback",
    "policy_folder",
    "register",
]
__version__ = "0.1.0"

_HOMES = {
    "AgentPolicy": "rllib_ptm.deploy.agent_policy",
    "InputError": "envs.errors",
    "PTM": "rllib_ptm.algorithm",
    "PTMConfig": "rllib_ptm.algorithm",
    "TaskPriorityCallback": "rllib_ptm.tasks.callback",
    "policy_folder": "rllib_ptm.deploy.agent_policy",
}

# Torch's threads wait for each other by spinning, which is fast while each has a core of its own,
# and a hundred times slower than sleeping as soon as another program wants that core. A short
# spin keeps the first and avoids the second. Read when torch is loaded; a user's choice stands.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def _require_own_envs() -> None:
    """``envs`` is a common name: another package of that name must not fail somewhere deep."""
    spec = importlib.util.find_spec("envs")
    places = list(spec.submodule_search_locations or []) if spec else []
    if spec and not any((Path(place) / "multi_task_sc2_v0.py").is_file() for place in places):
        found = spec.origin or places
        raise ImportError(
            f"rllib_ptm needs its own package 'envs', but Python finds another: {found}. "
            "Rename that one, or start Python from a folder that has no 'envs' in it."
        )


_require_own_envs()


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used, so that ``rllib --help`` need not load Ray."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("PTM", "PTMConfig"):
        register()
    return getattr(importlib.import_module(_HOMES[name]), name)


def register() -> None:
    """Makes ``PTM`` and ``multi_task_sc2`` known to Ray; again after ``ray.shutdown()``."""
    from ray.tune.registry import register_env, register_trainable

    from rllib_ptm.algorithm import ENVIRONMENT, PTM

    register_trainable("PTM", PTM)
    register_env(ENVIRONMENT, _make_env)


def _make_env(config: Any) -> Any:
    """The battle agent by agent, for RLlib's own algorithms; PTM reads battles directly."""
    from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv

    from envs import parallel_env

    return ParallelPettingZooEnv(parallel_env(**config))
