"""Keys that change something only together with others. A run that ignores one is refused.

In an experiment with grids a key needs an effect in one of the variants, so that methods can be
compared by one file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rllib_ptm.checkpoints.settings_of_state import check_settings, settings_of_state
from rllib_ptm.checks.errors import InputError, Problems, located, shown
from rllib_ptm.cli.read.scheduler_settings import PbtSettings
from rllib_ptm.config.algorithm_config import CheckedAlgorithmConfig
from rllib_ptm.config.keys import PTM_KEYS, attribute_of
from rllib_ptm.config.rllib_settings import RLLIB_KEYS
from rllib_ptm.methods import METHODS, Method

_INTERVAL = "evaluation_interval"
# What a trial of PBT takes from the checkpoint that it continues from.
_IN_CHECKPOINT = ("seed", "warm_start")


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


def _uses_alpha(method: Method) -> bool:
    return method.shares(0.0) != method.shares(1.0)


def _methods(uses: Callable[[Method], bool]) -> str:
    return " or ".join(name for name, method in METHODS.items() if uses(method))


def _starts_env_runners(config: Any) -> bool:
    evaluates = bool(config.evaluation_interval)
    return bool(config.num_env_runners or (evaluates and config.evaluation_num_env_runners))


NEEDS = (
    Need(
        f"method: {_methods(_uses_lambda)}",
        lambda config: _uses_lambda(METHODS[config.method]),
        ("mining_lambda",),
    ),
    Need(
        f"method: {_methods(_uses_alpha)}",
        lambda config: _uses_alpha(METHODS[config.method]),
        ("alpha_anneal_steps",),
    ),
    Need(
        "joint_exploration above 0",
        lambda config: config.joint_exploration > 0,
        ("joint_exploration_steps", "joint_exploration_temperature"),
    ),
    Need(
        "explore: true",
        lambda config: config.explore,
        ("epsilon_initial", "epsilon_final", "epsilon_anneal_steps", "joint_exploration"),
    ),
    Need("mixer: qmix", lambda config: config.mixer == "qmix", ("hypernet_dim", "mixing_dim")),
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


def check_evaluates(variants: Sequence[Mapping[str, Any]]) -> None:
    """Checks that a run evaluates if it says how. In Python a user may call ``evaluate()``.

    Args:
        variants: The configs of an experiment, as they are written.

    Raises:
        InputError: A line for each key that changes nothing.
    """
    if any(variant.get(_INTERVAL) not in (0, None) for variant in variants):
        return
    written = dict.fromkeys(key for variant in variants for key in variant)
    without_effect = [
        key
        for key in written
        if key in PTM_KEYS | RLLIB_KEYS.keys()
        and key != _INTERVAL
        and (key.startswith("evaluation_") or key == "seed_for_evaluation")
    ]
    if without_effect:
        raise InputError(
            *(f"config.{key}: it changes nothing without {_INTERVAL}" for key in without_effect)
        )


def check_effects(written: Mapping[str, Any], configs: Sequence[CheckedAlgorithmConfig]) -> None:
    """Checks that each key of an experiment changes something in one of its variants.

    Args:
        written: The experiment's config, as it is written.
        configs: Its variants; each is legal by itself.

    Raises:
        InputError: A line for each key that changes nothing.
    """
    problems = Problems()
    defaults = type(configs[0])()
    for need in NEEDS:
        if any(need.is_met(config) for config in configs):
            continue
        for key in filter(written.__contains__, need.keys):
            values = [getattr(config, attribute_of(key)) for config in configs]
            if any(value != getattr(defaults, attribute_of(key)) for value in values):
                with problems.collect():
                    raise InputError(
                        f"config.{key}: it changes nothing without {need.words}; found "
                        f"{shown(written[key])}"
                    )
    problems.raise_if_any()


def check_mutations(
    settings: PbtSettings,
    config: Mapping[str, Any],
    make: Callable[[Mapping[str, Any]], CheckedAlgorithmConfig],
) -> None:
    """Checks that a trial of PBT can go on from a checkpoint of one with other mutated values.

    Args:
        settings: Its settings.
        config: One variant of the experiment's config.
        make: Makes a config of such a variant.

    Raises:
        InputError: A line for each mutated key that changes nothing, or that no checkpoint fits.
    """
    problems = Problems()
    for key, values in settings.mutated().items():
        place = f"scheduler_config.hyperparam_mutations.{key}: "
        with problems.collect(), located(place):
            if key in _IN_CHECKPOINT:
                raise InputError("it changes nothing in a trial that goes on from a checkpoint")
            states = [settings_of_state(make({**config, key: value})) for value in values]
            for state in states[1:]:
                check_settings(states[0], state)
    problems.raise_if_any()
