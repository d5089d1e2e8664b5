"""Checks an experiment's config with RLlib, before any Ray process starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rllib_ptm.checks.errors import InputError, Problems, located, unknown_name
from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.experiment_settings import played_tasks
from rllib_ptm.cli.read.result_keys import reported_keys
from rllib_ptm.cli.read.search.schedulers import PbtSettings
from rllib_ptm.tasks.metrics import ENV_STEPS, LOSS_PATH, SCHEDULE_PATH

if TYPE_CHECKING:
    from rllib_ptm import PTMConfig


def check_with_rllib(experiment: Experiment) -> None:
    """Checks every variant of the config. Imports Ray, which takes seconds, but starts nothing.

    Args:
        experiment: One that ``read_experiment`` returned.

    Raises:
        InputError: A line for each unknown key, wrong value, or value that does not fit the others.
    """
    from rllib_ptm.cli.read.effects import check_effects, check_evaluates, check_mutations

    problems = Problems()
    variants = list(experiment.variants())
    configs = []
    with located(f"{experiment.source}: {experiment.name}: "):
        with problems.collect():
            check_evaluates(variants)
        for variant in variants:
            with problems.collect():
                _check_losses(experiment, variant)
            with problems.collect():
                configs.append(_checked(variant))
        problems.raise_if_any()
        for config in configs:
            with problems.collect():
                _check_schedules(experiment.stop, config)
        with problems.collect():
            check_effects(experiment.config, configs)
        if isinstance(experiment.scheduler_settings, PbtSettings):
            with problems.collect():
                check_mutations(experiment.scheduler_settings, variants[0], _checked)
        problems.raise_if_any()


def _checked(variant: Mapping[str, Any]) -> PTMConfig:
    """The config of a variant, with all of RLlib's checks."""
    from rllib_ptm import PTM, PTMConfig
    from rllib_ptm.config.builder_methods import errors_in_one_line
    from rllib_ptm.config.own_rows import check_known_elsewhere

    with errors_in_one_line("config"):
        config = PTMConfig().update_from_dict(dict(variant))
        config.validate()
        check_known_elsewhere(config)  # a trial is a process of its own
        PTM.default_resource_request(dict(variant))
    return config


def check_warm_start(experiment: Experiment) -> list[str]:
    """Checks the checkpoints whose weights a new run begins with.

    Args:
        experiment: One that ``check_with_rllib`` has checked.

    Returns:
        A line for each: what is taken, and what starts fresh.

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


def _check_schedules(stop: Mapping[str, float], config: PTMConfig) -> None:
    """A run ends as soon as a stop key is at least its value, which a falling one is at once."""
    from rllib_ptm.learn.schedules import exploration_epsilon, mining_alpha, target_lambda

    problems = Problems()
    schedules = {"epsilon": exploration_epsilon, "alpha": mining_alpha, "td_lambda": target_lambda}
    for name, schedule in schedules.items():
        value = stop.get(f"{SCHEDULE_PATH}{name}", math.inf)
        first, last = schedule(0, config), schedule(math.inf, config)
        with problems.collect():
            if first >= value:
                raise InputError(
                    f"stop.{SCHEDULE_PATH}{name}: a run ends as soon as it is at least {value:g}, "
                    f"and it begins at {first:g}; stop by {ENV_STEPS} instead"
                )
            if last < value < math.inf:
                raise InputError(
                    f"stop.{SCHEDULE_PATH}{name}: it goes from {first:g} to {last:g}, so it is "
                    f"never at least {value:g}"
                )
    problems.raise_if_any()


def _losses(config: Mapping[str, Any]) -> list[str]:
    """The result keys of the losses of a config's method."""
    from rllib_ptm.config.ptm_settings import PTMSettings
    from rllib_ptm.methods import METHODS
    from rllib_ptm.model.q_values import ORIGINAL

    method = config.get("method", PTMSettings.model_fields["method"].default)
    known = isinstance(method, str) and method in METHODS  # a wrong one is reported elsewhere
    terms = METHODS[method].terms if known else ()
    return [f"{LOSS_PATH}{term}" for term in dict.fromkeys((ORIGINAL, *terms))]


def reported_metrics(experiment: Experiment) -> list[str]:
    """The result keys that a run of the experiment reports; see ``METRICS``."""
    losses = {loss for variant in experiment.variants() for loss in _losses(variant)}
    keys = reported_keys(*played_tasks(experiment.config))
    return [key for key in keys if not key.startswith(LOSS_PATH) or key in losses]
