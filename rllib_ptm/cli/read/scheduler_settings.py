"""The settings of each scheduler of trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envs.errors import InputError
from envs.settings import setting
from rllib_ptm.cli.read.search_space import extremes, is_space, read_space

_METRIC = "env_runners/win_rate_mean"


@dataclass(frozen=True)
class FifoSettings:
    """Trials run one after the other, each to its end."""


@dataclass(frozen=True)
class _ComparisonSettings:
    """How trials are compared, and when."""

    metric: str = setting(_METRIC, "the result key by which trials are compared")
    mode: str = setting("max", "which values are best", one_of=("max", "min"))
    time_attr: str = setting("training_iteration", "the result key that measures progress")


@dataclass(frozen=True)
class AshaSettings(_ComparisonSettings):
    """Asynchronous successive halving: at each rung only the best trials go on."""

    max_t: float = setting(100, "progress at which a trial ends", above=0)
    grace_period: float = setting(1, "progress before which no trial is stopped", above=0)
    reduction_factor: float = setting(4, "of so many trials one goes on", above=1)
    brackets: int = setting(1, "series of rungs, each with a later first one", at_least=1)

    def __post_init__(self) -> None:
        if self.grace_period > self.max_t:
            raise InputError(
                f"scheduler_config.grace_period: expected at most max_t = {self.max_t:g}, "
                f"found {self.grace_period:g}"
            )


@dataclass(frozen=True)
class PbtSettings(_ComparisonSettings):
    """Population based training: the worst trials go on from the best ones' checkpoints."""

    perturbation_interval: float = setting(10, "progress between two comparisons", above=0)
    burn_in_period: float = setting(0, "progress before the first one", at_least=0)
    hyperparam_mutations: Mapping = field(
        default_factory=dict,
        metadata={**setting(None, "config keys: lists of values, or distributions").metadata},
    )
    quantile_fraction: float = setting(
        0.25, "share of trials that are worst, and best", above=0, at_most=0.5
    )
    resample_probability: float = setting(
        0.25, "how often a value is drawn anew, not changed a little", at_least=0, at_most=1
    )

    def __post_init__(self) -> None:
        place = "scheduler_config.hyperparam_mutations"
        if not self.hyperparam_mutations:
            raise InputError(f"{place}: expected at least one key of the config, found none")
        for key, value in self.hyperparam_mutations.items():
            if is_space(value):
                read_space(value, f"{place}.{key}")
            elif not isinstance(value, list) or not value:
                raise InputError(
                    f"{place}.{key}: expected a list of values, or a distribution such as "
                    f"{{loguniform: [0.0001, 0.01]}}, found {value!r}"
                )

    def mutated(self) -> dict[str, list[Any]]:
        """The values that each key may get: all of them, or both ends."""
        return {
            key: extremes(value, key) if is_space(value) else list(value)
            for key, value in self.hyperparam_mutations.items()
        }


SchedulerSettings = FifoSettings | AshaSettings | PbtSettings
