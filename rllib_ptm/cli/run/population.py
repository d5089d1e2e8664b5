"""Population based training, kept within what the user allowed.

Source: Jaderberg et al., *Population Based Training of Neural Networks*, 2017; the scheduler is
Ray Tune's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rllib_ptm.cli.read.scheduler_settings import PbtSettings
from rllib_ptm.cli.read.search_space import SPACES, extremes, is_space, tune_space
from rllib_ptm.cli.run.interrupt import PausingPBT


class WithinBounds:
    """Brings values that were multiplied by 0.8 or 1.2 back between the ends of their range.

    Args:
        bounds: The least and the most of each such key.
    """

    def __init__(self, bounds: Mapping[str, tuple[float, float]]) -> None:
        self._bounds = dict(bounds)

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        """Called by Tune with a trial's new config."""
        for key, (low, high) in self._bounds.items():
            config[key] = min(max(config[key], low), high)
        return config


def population_based_training(settings: PbtSettings) -> PausingPBT:
    """Tune's scheduler with these settings."""
    arguments = {**vars(settings)}
    mutations = settings.hyperparam_mutations
    arguments["hyperparam_mutations"] = tune_space(mutations)
    return PausingPBT(custom_explore_fn=WithinBounds(_bounds(mutations)), **arguments)


def _bounds(mutations: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    bounds = {}
    for key, value in mutations.items():
        if (
            is_space(value)
            and SPACES[next(iter(value))].bounded
            and SPACES[next(iter(value))].arguments
        ):
            low, high = extremes(value, key)
            bounds[key] = (low, high)
    return bounds
