"""A result of a training iteration in the form that loggers, schedulers and checkpoints need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Number
from typing import Any

import numpy as np
from ray.rllib.utils.metrics import NUM_NON_TRAINABLE_PARAMETERS, NUM_TRAINABLE_PARAMETERS
from ray.tune.utils.util import flatten_dict

from rllib_ptm.tasks.metrics import ENV_RUNNERS, EVALUATION, LEARNERS, PRIORITIES, SCHEDULES

_LOGGED_ONCE = (NUM_TRAINABLE_PARAMETERS, NUM_NON_TRAINABLE_PARAMETERS)
_CONFIG = "config"


def python_numbers(value: Any) -> Any:
    """Replaces numpy's scalars by Python's, also inside mappings and lists."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(python_numbers(entry) for entry in value)
    if isinstance(value, dict):
        return {python_numbers(key): python_numbers(entry) for key, entry in value.items()}
    return value


def first_level(result: Mapping[str, Any], parts: Iterable[str]) -> dict[str, Number]:
    """The numbers in some parts of a result by their path, such as ``env_runners/win_rate_mean``.

    Tune compares checkpoints only by keys on the first level of a result.
    """
    chosen = {part: result.get(part, {}) for part in parts}
    return {key: value for key, value in flatten_dict(chosen).items() if isinstance(value, Number)}


def checkpoint_metrics(result: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """What Tune keeps of a result beside a checkpoint, to compare it with other checkpoints.

    Tune takes a checkpoint whose score is missing for the best one, and one whose score is NaN for
    the worst. So a metric without a value in this iteration is NaN. The config is left out: Tune
    holds it for each trial, and keeps these metrics in memory as long as the checkpoint.

    Args:
        result: The last result.
        paths: The metrics that can be scores; see ``METRICS``.
    """
    parts = (ENV_RUNNERS, EVALUATION, LEARNERS, SCHEDULES, PRIORITIES)
    metrics = {key: value for key, value in result.items() if key != _CONFIG}
    return {**dict.fromkeys(paths, math.nan), **first_level(result, parts), **metrics}


class ParameterCounts:
    """Keeps the numbers of parameters: RLlib logs them once, and reports NaN ever after."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], float] = {}

    def fill_in(self, result: Mapping[str, Any]) -> None:
        """Replaces NaN in a result by the last number."""
        for module, metrics in result.get(LEARNERS, {}).items():
            for key in metrics.keys() & _LOGGED_ONCE:
                if not math.isnan(metrics[key]):
                    self._counts[module, key] = metrics[key]
                metrics[key] = self._counts.get((module, key), metrics[key])
