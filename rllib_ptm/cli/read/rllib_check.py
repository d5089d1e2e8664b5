"""Checks an experiment's config with RLlib, before any Ray process starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rllib_ptm.cli.read.experiment import Experiment, played_tasks
from rllib_ptm.cli.read.result_keys import reported_keys
from rllib_ptm.envs.errors import InputError, Problems, located, unknown_name
from rllib_ptm.tasks.metrics import LOSS_PATH


def check_with_rllib(experiment: Experiment) -> None:
    """Checks every variant of the config. Imports Ray, which takes seconds, but starts nothing.

    Args:
        experiment: One that ``read_experiment`` returned.

    Raises:
        InputError: A line for each unknown key, wrong value, or value that does not fit the others.
    """
    from rllib_ptm import PTM, PTMConfig
    from rllib_ptm.config.builder_methods import errors_in_one_line

    problems = Problems()
    with located(f"{experiment.source}: {experiment.name}: "):
        for variant in experiment.variants():
            with problems.collect():
                _check_evaluates(variant)
            with problems.collect():
                _check_losses(experiment, variant)
            with problems.collect(), errors_in_one_line("config"):
                PTMConfig().update_from_dict(variant).validate()
                PTM.default_resource_request(variant)
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


def _check_losses(experiment: Experiment, config: Mapping[str, Any]) -> None:
    """A run never reports the losses that its method does not have."""
    scheduler, losses = experiment.scheduler_settings, _losses(config)
    used = {
        **{f"stop.{key}": key for key in experiment.stop},
        "checkpoint_config.checkpoint_score_attribute": (
            experiment.checkpoint.checkpoint_score_attribute
        ),
        "scheduler_config.metric": getattr(scheduler, "metric", None),
    }
    problems = Problems()
    for place, key in used.items():
        if key is not None and key.startswith(LOSS_PATH) and key not in losses:
            with problems.collect():
                raise unknown_name(place, key, losses)
    problems.raise_if_any()


def _losses(config: Mapping[str, Any]) -> list[str]:
    """The result keys of the losses of a config's method."""
    from rllib_ptm.config.ptm_settings import PTMSettings
    from rllib_ptm.methods import METHODS
    from rllib_ptm.model.q_values import ORIGINAL

    method = config.get("method", PTMSettings.model_fields["method"].default)
    terms = METHODS[method].terms if method in METHODS else ()  # a wrong name is reported elsewhere
    return [f"{LOSS_PATH}{term}" for term in dict.fromkeys((ORIGINAL, *terms))]


def reported_metrics(experiment: Experiment) -> list[str]:
    """The result keys that a run of the experiment reports; see ``METRICS``."""
    losses = {loss for variant in experiment.variants() for loss in _losses(variant)}
    keys = reported_keys(*played_tasks(experiment.config))
    return [key for key in keys if not key.startswith(LOSS_PATH) or key in losses]
