"""Multi-task cooperative learning for Ray RLlib by prioritized tasks mining.

``PTMConfig`` and ``PTM`` are RLlib's config and Algorithm. Using either makes the names ``PTM``,
``multi_task_sc2`` and ``multi_task_foraging`` known to Ray; ``register`` does so too.

Names are loaded when they are first used, so that ``rllib --help`` need not load Ray.

``rllib_ptm.envs`` is the folder ``envs`` at the top of the repository. It has no name of its own at
the top level, because many projects have a package ``envs``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from rllib_ptm.algorithm import PTM as PTM
    from rllib_ptm.algorithm import PTMConfig as PTMConfig
    from rllib_ptm.checks.errors import InputError as InputError
    from rllib_ptm.deploy.agent_policy import AgentPolicy as AgentPolicy
    from rllib_ptm.deploy.agent_policy import load_policy as load_policy
    from rllib_ptm.deploy.agent_policy import policy_folder as policy_folder
    from rllib_ptm.tasks.callback import TaskPriorityCallback as TaskPriorityCallback

__version__ = "0.1.0"


_load, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "algorithm": ["PTM", "PTMConfig"],
        "deploy.agent_policy": ["AgentPolicy", "load_policy", "policy_folder"],
        "tasks.callback": ["TaskPriorityCallback"],
    },
)
__all__ = [
    "PTM",
    "AgentPolicy",
    "InputError",
    "PTMConfig",
    "TaskPriorityCallback",
    "load_policy",
    "policy_folder",
    "register",
]


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "InputError":
        from rllib_ptm.checks.errors import InputError

        return InputError
    if name in ("PTM", "PTMConfig"):
        register()
    return _load(name)


def __dir__() -> list[str]:
    return __all__


def register() -> None:
    """Makes ``PTM`` and the environments known to Ray; call it again after ``ray.shutdown()``."""
    from ray.tune.registry import register_env, register_trainable

    from rllib_ptm.algorithm import PTM
    from rllib_ptm.environment.names import BUILT_IN, make_for_rllib

    register_trainable("PTM", PTM)
    for name in BUILT_IN:
        register_env(name, functools.partial(make_for_rllib, name))
