"""Checks an experiment's config with RLlib, before any Ray process starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.envs.errors import InputError, Problems, located


def check_with_rllib(experiment: Experiment) -> None:
    """Checks every variant of the config. Imports Ray, which takes seconds, but starts nothing.

    Args:
        experiment: One that ``read_experiment`` returned.

    Raises:
        InputError: A line for each unknown key, wrong value, or value that does not fit the others.
    """
    from rllib_ptm import PTM, PTMConfig

    problems = Problems()
    with located(f"{experiment.source}: {experiment.name}: "):
        for variant in experiment.variants():
            with problems.collect():
                _check_evaluates(variant)
            with problems.collect():
                try:
                    PTMConfig().update_from_dict(variant).validate()
                    PTM.default_resource_request(variant)
                except InputError:
                    raise
                except Exception as error:  # RLlib's and Tune's checks raise errors of any type
                    raise InputError(f"config: {_one_line(error)}") from error
        problems.raise_if_any()


def check_warm_start(experiment: Experiment) -> list[str]:
    """Checks the checkpoints whose weights a new run begins with.

    Args:
        experiment: One that ``check_with_rllib`` has checked.

    Returns:
        A line for each: what is taken, and what starts anew.

    Raises:
        InputError: A line for each that cannot be read, or does not fit.
    """
    from rllib_ptm import PTMConfig
    from rllib_ptm.deploy.warm_start import read_warm_start

    reports: dict[str, None] = {}  # in order, without repeats
    problems = Problems()
    with located(f"{experiment.source}: {experiment.name}: "):
        for variant in experiment.variants():
            config = PTMConfig().update_from_dict(variant)
            with problems.collect():
                if config.warm_start is not None:
                    reports[read_warm_start(config).report] = None
        problems.raise_if_any()
    return list(reports)


def _check_evaluates(config: Mapping[str, Any]) -> None:
    """A command evaluates at intervals only; in Python a user may call ``evaluate()``."""
    interval = "evaluation_interval"
    if config.get(interval, 0) not in (0, None):
        return
    without_effect = [
        key
        for key in config
        if key != interval and (key.startswith("evaluation_") or key == "seed_for_evaluation")
    ]
    if without_effect:
        raise InputError(
            *(f"config.{key}: it changes nothing without {interval}" for key in without_effect)
        )


def _one_line(error: Exception) -> str:
    """RLlib's message, without the advice to switch its checks off."""
    text = str(error) or type(error).__name__
    return " ".join(text.split()).partition(" To suppress all validation errors")[0]
