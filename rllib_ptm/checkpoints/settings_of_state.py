"""The settings that decide what the state of a run consists of: a checkpoint must have the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rllib_ptm.checks.errors import InputError
from rllib_ptm.learn.rl_module import (
    AGENT_ATTENTION,
    DOT_PRODUCT,
    NO_BASELINE,
    NO_SCALE,
    TASK_BASELINE,
    UTILITY_SCALE,
)
from rllib_ptm.methods import METHODS, task_output
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.model.sizes import NetworkSizes

ENVIRONMENT, METHOD, OPTIMIZER, MIXER = "env", "method", "optimizer_name", "mixer"
TASKS = "env_config.tasks"
# The settings without which not even the weights fit; the last ones concern the mixer alone.
OF_MIXER = ("hypernet_dim", "mixing_dim")
OF_WEIGHTS = (AGENT_ATTENTION, "action_head", *NetworkSizes.names())
OF_STATE = (METHOD, TASK_BASELINE, OPTIMIZER, MIXER, UTILITY_SCALE, *OF_WEIGHTS)
# In settings that were saved before there were these keys.
_MISSING = {
    TASK_BASELINE: NO_BASELINE,
    UTILITY_SCALE: NO_SCALE,
    AGENT_ATTENTION: DOT_PRODUCT,
}


def settings_of_state(config: Any) -> dict[str, Any]:
    """The settings of a config that decide which arrays a state has, and what they mean.

    Args:
        config: A ``PTMConfig``.
    """
    game = config.game
    training = {key: getattr(config, key) for key in OF_STATE}
    return settings_from(training, config.env, game.slots, game.tasks)


def settings_from(
    training: Mapping[str, Any], env: str, slots: Mapping[str, int], tasks: Iterable[str]
) -> dict[str, Any]:
    """The same, from parts that need no environment.

    Args:
        training: PTM's keys.
        env: The environment's name.
        slots: Its numbers of slots; see ``TeamGame.slots``.
        tasks: The names of the tasks.
    """
    own = {key: (_MISSING | dict(training))[key] for key in OF_STATE}
    return {ENVIRONMENT: env, **own, **slots, TASKS: list(tasks)}


def check_settings(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Checks that the state of a checkpoint fits an algorithm.

    Args:
        saved: ``settings_of_state`` of the run that wrote the checkpoint.
        own: Those of the algorithm.

    Raises:
        InputError: It does not fit; one line that names both sides of each difference.
    """
    saved = _MISSING | dict(saved)
    differ = [key for key in own if not _fit(key, saved, own)]
    if not differ:
        return
    can_warm_start = not set(differ) & set(OF_WEIGHTS)
    hint = "; warm_start: CHECKPOINT takes the weights alone" if can_warm_start else ""
    raise InputError(differences(differ, saved, own) + hint)


def differences(keys: list[str], saved: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """What a checkpoint and a config have under keys in which they differ."""
    return "; ".join(
        f"{key}: the checkpoint has {saved.get(key)!r}, the config has {own[key]!r}" for key in keys
    )


def _fit(key: str, saved: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    if key == METHOD and saved.get(key) in METHODS:  # only the layer after the mixer differs
        return METHODS[saved[key]].output is METHODS[own[key]].output
    output = task_output(own[METHOD], own[TASK_BASELINE])
    if key == TASKS and output is TaskOutput:  # it has no statistics of tasks
        return True
    return bool(saved.get(key) == own[key])
