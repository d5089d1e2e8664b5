"""Checks an experiment's config with RLlib's help, before any Ray process starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.errors import InputError
from rllib_ptm.cli.read.experiment import Experiment, located


def check_config(experiment: Experiment) -> None:
    """Checks every variant of the config. Imports Ray, which takes seconds, but starts nothing.

    Args:
        experiment: One that ``read_experiment`` returned.

    Raises:
        InputError: An unknown key, a wrong value, or values that do not go together.
    """
    from rllib_ptm import PTM, PTMConfig

    with located(f"{experiment.source}: {experiment.name}"):
        for variant in experiment.variants():
            _check_evaluates(variant)
            try:
                PTMConfig().update_from_dict(variant).validate()
                PTM.default_resource_request(variant)
            except InputError:
                raise
            except Exception as error:  # RLlib's and Tune's checks raise whatever they come by
                raise InputError(f"config: {_one_line(error)}") from error


def _check_evaluates(config: Mapping[str, Any]) -> None:
    """In Python one may call ``evaluate()`` oneself; a command evaluates at intervals only."""
    interval = "evaluation_interval"
    if config.get(interval, 0) not in (0, None):
        return
    for key in config:
        if key != interval and (key.startswith("evaluation_") or key == "seed_for_evaluation"):
            raise InputError(f"config.{key}: it changes nothing without evaluation_interval")


def _one_line(error: Exception) -> str:
    """RLlib's own complaint, without the advice to switch its checks off."""
    text = str(error) or type(error).__name__
    return " ".join(text.split()).partition(" To suppress all validation errors")[0]
