"""Keys that change something only together with others. A run that ignores one is refused.

In an experiment with grids a key needs an effect in one of the variants, so that methods can be
compared by one file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rllib_ptm.checkpoints.settings_of_state import check_settings, settings_of_state
from rllib_ptm.checks.errors import InputError, Problems, located, shown
from rllib_ptm.cli.read.search.schedulers import PbtSettings
from rllib_ptm.config.algorithm_config import CheckedAlgorithmConfig
from rllib_ptm.config.effects import keys_without_effect
from rllib_ptm.config.keys import PTM_KEYS
from rllib_ptm.config.rllib_settings import RLLIB_KEYS
from rllib_ptm.environment.names import STARCRAFT

_INTERVAL = "evaluation_interval"
_ONLY_POSITIVE, _SMAX = "reward_only_positive", "smax"  # in env_config
# What a trial of PBT takes from the checkpoint that it continues from.
_IN_CHECKPOINT = ("seed", "warm_start")


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
    without = keys_without_effect(configs).items()
    lines = [
        f"config.{key}: it changes nothing without {words}; found {shown(written[key])}"
        for key, words in without
        if key in written
    ]
    backends = _backends_with(_ONLY_POSITIVE, configs)
    if backends == {_SMAX}:
        lines.append(
            f"config.env_config.{_ONLY_POSITIVE}: it changes nothing without backend: sc2; on SMAX "
            f"nothing regrows"
        )
    if lines:
        raise InputError(*lines)


def _backends_with(key: str, configs: Sequence[CheckedAlgorithmConfig]) -> set[str]:
    """The backends of StarCraft on which a key of its ``env_config`` is switched on."""
    battles = [config.game.plain() for config in configs if config.env == STARCRAFT]
    return {settings["backend"] for settings in battles if settings[key]}


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
