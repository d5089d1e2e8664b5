"""Multi-task cooperative learning for Ray RLlib by prioritized tasks mining.

``PTMConfig`` and ``PTM`` are RLlib's config and Algorithm. Using either makes the names ``PTM``
and ``multi_task_sc2`` known to Ray; ``register`` does so too.

Names are loaded when they are first used, so that ``rllib --help`` need not load Ray.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from envs.errors import InputError as InputError
    from rllib_ptm.algorithm import PTM as PTM
    from rllib_ptm.algorithm import PTMConfig as PTMConfig
    from rllib_ptm.deploy.agent_policy import AgentPolicy as AgentPolicy
    from rllib_ptm.deploy.agent_policy import policy_folder as policy_folder
    from rllib_ptm.tasks.callback import TaskPriorityCallback as TaskPriorityCallback

__version__ = "0.1.0"


def _require_own_envs() -> None:
    """Refuses another package of the common name ``envs``, before it fails somewhere deep."""
    spec = importlib.util.find_spec("envs")
    places = list(spec.submodule_search_locations or []) if spec else []
    if spec and not any((Path(place) / "multi_task_sc2_v0.py").is_file() for place in places):
        found = spec.origin or places
        raise ImportError(
            f"rllib_ptm needs its own package 'envs', but Python finds another: {found}. "
            "Rename that one, or start Python from a folder that has no 'envs' in it."
        )


_require_own_envs()

_load, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "algorithm": ["PTM", "PTMConfig"],
        "deploy.agent_policy": ["AgentPolicy", "policy_folder"],
        "tasks.callback": ["TaskPriorityCallback"],
    },
)
__all__ = [
    "PTM",
    "AgentPolicy",
    "InputError",
    "PTMConfig",
    "TaskPriorityCallback",
    "policy_folder",
    "register",
]


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "InputError":
        from envs.errors import InputError

        return InputError
    if name in ("PTM", "PTMConfig"):
        register()
    return _load(name)


def __dir__() -> list[str]:
    return __all__


def register() -> None:
    """Makes ``PTM`` and ``multi_task_sc2`` known to Ray; call it again after ``ray.shutdown()``."""
    from ray.tune.registry import register_env, register_trainable

    from rllib_ptm.algorithm import ENVIRONMENT, PTM

    register_trainable("PTM", PTM)
    register_env(ENVIRONMENT, _make_env)


def _make_env(config: Any) -> Any:
    """One environment for RLlib's own algorithms, agent by agent; PTM uses battles directly."""
    from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv

    from envs import parallel_env

    return ParallelPettingZooEnv(parallel_env(**config))
