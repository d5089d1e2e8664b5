"""What RLlib keeps to itself in a config, a learner, and its groups of learners and env runners."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.rllib.core.learner.learner import Learner
    from ray.rllib.core.learner.learner_group import LearnerGroup
    from ray.rllib.env.env_runner_group import EnvRunnerGroup
    from ray.rllib.utils.checkpoints import Checkpointable


def config_attribute(key: str) -> str:
    """The attribute of an ``AlgorithmConfig`` that a key of a config dict sets."""
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

    return AlgorithmConfig._translate_special_keys(key, warn_deprecated=False)


def is_requested(
    owner: Checkpointable,
    component: str,
    components: str | Collection[str] | None,
    not_components: str | Collection[str] | None,
) -> bool:
    """Whether a call of ``get_state`` asks for a component.

    Args:
        owner: The object whose state is asked for.
        component: The component's name.
        components: What the call asks for; None = everything.
        not_components: What the call leaves out.
    """
    return owner._check_component(component, components, not_components)


def set_learning_rate(learner: Learner, lr: float) -> None:
    """Sets the learning rate of all optimisers of a learner."""
    for optimizer in learner._named_optimizers.values():
        learner._set_optimizer_lr(optimizer, lr=lr)


def replace_learner_manager(group: LearnerGroup, manager: Callable[[list[Any]], Any]) -> None:
    """Replaces the object through which a group of remote learners is called.

    Args:
        group: The learners; they must be remote.
        manager: Makes the new object from the list of Ray actors.
    """
    group._worker_manager = manager(group._workers)


def runner_actors(group: EnvRunnerGroup) -> dict[int, Any]:
    """The Ray actors of a group's remote env runners, by the runners' numbers."""
    return group._worker_manager.actors()


def mark_lost(group: EnvRunnerGroup, runner: int) -> None:
    """Lets RLlib count an env runner as lost: it makes no more calls to it, and waits for none."""
    group._worker_manager.set_actor_state(runner, healthy=False)
