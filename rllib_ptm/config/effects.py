"""Keys that change something only together with others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rllib_ptm.config.keys import attribute_of
from rllib_ptm.learn.schedules import MINING_ALPHAS
from rllib_ptm.methods import METHODS, Method
from rllib_ptm.model.mixers import MIXERS, widths_of
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.tasks.priorities import TASK_PRIORITIES


@dataclass(frozen=True)
class Need:
    """A row of the table.

    Attributes:
        words: What keys need, as the user writes it.
        is_met: Whether a config has it.
        keys: The keys that change nothing without it.
    """

    words: str
    is_met: Callable[[Any], bool]
    keys: tuple[str, ...]


def _uses_lambda(method: Method) -> bool:
    return method.by_priority and bool(method.terms)


def _draws_episodes(method: Method) -> bool:
    return method.draws(1) is not None


def _uses_alpha(method: Method) -> bool:
    return method.shares(0.0) != method.shares(1.0)


def _mines(config: Any) -> bool:
    method = METHODS[config.method]
    return bool(method.terms) and (not method.by_priority or config.mining_lambda > 0)


def _uses_priorities(config: Any) -> bool:
    uses = _uses_lambda(METHODS[config.method]) and config.mining_lambda > 0
    # Rows of the user's own may read the priorities.
    return (uses and config.mining_weights != "uniform") or config.task_draw != "uniform"


def _takes_baseline(method: Method) -> bool:
    return method.output is TaskOutput


def _methods(uses: Callable[[Method], bool]) -> str:
    return " or ".join(name for name, method in METHODS.items() if uses(method))


def _width_of_mixer(width: str) -> Need:
    mixers = [mixer for mixer in MIXERS if width in widths_of(mixer)]
    words = f"mixer: {' or '.join(mixers)}"
    return Need(words, lambda config: width in widths_of(config.mixer), (width,))


def _starts_env_runners(config: Any) -> bool:
    evaluates = bool(config.evaluation_interval)
    return bool(config.num_env_runners or (evaluates and config.evaluation_num_env_runners))


# Where a key lacks the needs of several rows, the last of them is named.
NEEDS = (
    Need(
        "mining_lambda above 0",
        _mines,
        (
            "mining_scale",
            "mining_weights",
            "mining_episodes",
            "mining_alpha",
            "alpha_anneal_steps",
        ),
    ),
    Need(
        f"method: {_methods(_uses_lambda)}",
        lambda config: _uses_lambda(METHODS[config.method]),
        ("mining_lambda", "mining_scale", "mining_weights"),
    ),
    Need(
        f"method: {_methods(_draws_episodes)}",
        lambda config: _draws_episodes(METHODS[config.method]),
        ("mining_episodes",),
    ),
    Need(
        "task_draw: priority or mining_weights: priority (in a method that mines by priority, with "
        "mining_lambda above 0)",
        _uses_priorities,
        ("task_priority", "priority_temperature"),
    ),
    Need(
        "task_priority: win_rate",
        lambda config: config.task_priority not in TASK_PRIORITIES.built_in - {"win_rate"},
        ("priority_temperature",),
    ),
    Need(
        "mining_alpha: schedule",
        lambda config: config.mining_alpha not in MINING_ALPHAS.built_in - {"schedule"},
        ("alpha_anneal_steps",),
    ),
    Need(
        f"method: {_methods(_uses_alpha)}",
        lambda config: _uses_alpha(METHODS[config.method]),
        ("alpha_anneal_steps", "mining_alpha"),
    ),
    Need(
        f"method: {_methods(_takes_baseline)}",
        lambda config: _takes_baseline(METHODS[config.method]),
        ("task_baseline",),
    ),
    Need(
        "joint_exploration above 0",
        lambda config: config.joint_exploration > 0,
        ("joint_exploration_steps", "joint_exploration_temperature"),
    ),
    Need(
        "td_lambda_final",
        lambda config: config.td_lambda_final is not None,
        ("td_lambda_anneal_steps",),
    ),
    Need(
        "explore: true",
        lambda config: config.explore,
        ("epsilon_initial", "epsilon_final", "epsilon_anneal_steps", "joint_exploration"),
    ),
    _width_of_mixer("hypernet_dim"),
    _width_of_mixer("mixing_dim"),
    Need("grad_clip", lambda config: config.grad_clip is not None, ("grad_clip_by",)),
    Need(
        "num_learners: 1 or more",
        lambda config: config.num_learners > 0,
        ("learner_timeout_s", "custom_resources_per_learner"),
    ),
    Need(
        "num_env_runners or evaluation_num_env_runners: 1 or more",
        _starts_env_runners,
        (
            "num_cpus_per_env_runner",
            "num_gpus_per_env_runner",
            "custom_resources_per_env_runner",
            "validate_env_runners_after_construction",
            "restart_failed_env_runners",
            "ignore_env_runner_failures",
            "max_num_env_runner_restarts",
            "delay_between_env_runner_restarts_s",
            "env_runner_health_probe_timeout_s",
            "env_runner_restore_timeout_s",
        ),
    ),
)


def keys_without_effect(configs: Sequence[Any]) -> dict[str, str]:
    """The keys that are not at their defaults, and change nothing in any of some configs.

    Args:
        configs: The variants of a run; each is legal by itself.

    Returns:
        For each key what it needs, as the user writes it.
    """
    defaults = configs[0]._defaults
    return {
        key: need.words
        for need in NEEDS
        if not any(need.is_met(config) for config in configs)
        for key in need.keys
        if any(
            getattr(config, attribute_of(key)) != getattr(defaults, attribute_of(key))
            for config in configs
        )
    }
