"""When the trials of an experiment end."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.search.schedulers import AshaSettings


def stop_conditions(
    experiment: Experiment, stop: Mapping[str, float] | None = None
) -> dict[str, float]:
    """The stop conditions, the end of successive halving among them.

    Tune's scheduler ends a trial only in an iteration that reports the metric.

    Args:
        experiment: What is trained.
        stop: Stop conditions in place of the experiment's.
    """
    settings, conditions = experiment.scheduler_settings, dict(stop or experiment.stop)
    if isinstance(settings, AshaSettings):
        end = conditions.get(settings.time_attr, math.inf)
        conditions[settings.time_attr] = min(end, settings.max_t)
    return conditions
