"""Builds Ray Tune's schedulers of trials from their settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.tune.schedulers import TrialScheduler

from rllib_ptm.cli.read.search.schedulers import AshaSettings, PbtSettings, SchedulerSettings
from rllib_ptm.cli.read.search.spaces import SPACES, extremes, is_space, tune_space
from rllib_ptm.cli.run.interrupt import PausingASHA, PausingFIFO, PausingPBT


def make_scheduler(settings: SchedulerSettings) -> TrialScheduler:
    """The scheduler of Tune that has these settings."""
    match settings:
        case AshaSettings():
            return PausingASHA(**vars(settings))
        case PbtSettings():
            mutations = settings.hyperparam_mutations
            arguments = {**vars(settings), "hyperparam_mutations": tune_space(mutations)}
            return PausingPBT(custom_explore_fn=WithinBounds(_bounds(mutations)), **arguments)
        case _:
            return PausingFIFO()


class WithinBounds:
    """Keeps the values that population based training changes within the user's ranges.

    Tune multiplies a value by 0.8 or 1.2, which may leave the range that it was drawn from.

    Args:
        bounds: The least and the largest value of each key that has a range.
    """

    def __init__(self, bounds: Mapping[str, tuple[float, float]]) -> None:
        self._bounds = dict(bounds)

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        """Called by Tune with a trial's new config."""
        for key, (low, high) in self._bounds.items():
            config[key] = min(max(config[key], low), high)
        return config


def _bounds(mutations: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    bounds = {}
    for key, value in mutations.items():
        if is_space(value):
            space = SPACES[next(iter(value))]
            if space.bounded and space.arguments:
                low, high = extremes(value, key)
                bounds[key] = (low, high)
    return bounds
