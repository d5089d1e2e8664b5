"""The schedulers of trials: their names, and the settings of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from rllib_ptm.checks.errors import InputError, Problems, unknown_name
from rllib_ptm.checks.settings import Settings, one_of
from rllib_ptm.cli.read.result_keys import ResultKey, unknown_result_key
from rllib_ptm.cli.read.search.spaces import extremes, is_space, read_space
from rllib_ptm.tasks.metrics import WIN_RATE_MEAN_PATH


class FifoSettings(Settings):
    """Trials run one after the other, each to its end."""


class _ComparisonSettings(Settings):
    """How trials are compared, and when."""

    metric: str = Field(
        WIN_RATE_MEAN_PATH, description="the result key by which trials are compared"
    )
    mode: Annotated[str, one_of(("max", "min"))] = Field(
        "max", description="whether the largest or the smallest value is best"
    )
    time_attr: str = Field(
        "training_iteration", description="the result key that measures progress"
    )


class AshaSettings(_ComparisonSettings):
    """Asynchronous successive halving: only the best trials pass each rung."""

    max_t: float = Field(100.0, gt=0, description="progress at which a trial ends")
    grace_period: float = Field(1.0, gt=0, description="progress before which no trial is stopped")
    reduction_factor: float = Field(4.0, gt=1, description="one trial of so many passes a rung")
    brackets: int = Field(1, ge=1, description="series of rungs, each with a later first rung")

    @model_validator(mode="after")
    def _check_grace_period(self) -> Self:
        if self.grace_period > self.max_t:
            raise InputError(
                f"grace_period: expected at most max_t = {self.max_t:g}, found "
                f"{self.grace_period:g}"
            )
        return self


class PbtSettings(_ComparisonSettings):
    """Population based training: the worst trials continue from the best ones' checkpoints."""

    perturbation_interval: float = Field(10.0, gt=0, description="progress between comparisons")
    burn_in_period: float = Field(0.0, ge=0, description="progress before the first comparison")
    hyperparam_mutations: Mapping = Field(
        default_factory=dict,
        validate_default=True,
        description="config keys: lists of values, or distributions",
    )
    quantile_fraction: float = Field(
        0.25, gt=0, le=0.5, description="share of trials that are worst, and best"
    )
    resample_probability: float = Field(
        0.25, ge=0, le=1, description="how often a value is drawn, instead of changed a little"
    )

    @field_validator("hyperparam_mutations")
    @classmethod
    def _check_mutations(cls, mutations: Mapping[str, Any]) -> Mapping[str, Any]:
        place = "hyperparam_mutations"
        if not mutations:
            raise InputError(f"{place}: expected at least one key of the config, found none")
        problems = Problems()
        for key, value in mutations.items():
            with problems.collect():
                if is_space(value):
                    read_space(value, f"{place}.{key}")
                elif not isinstance(value, list) or not value:
                    raise InputError(
                        f"{place}.{key}: expected a list of values, or a distribution such as "
                        f"{{loguniform: [0.0001, 0.01]}}, found {value!r}"
                    )
        problems.raise_if_any()
        return mutations

    def mutated(self) -> dict[str, list[Any]]:
        """The values that each key may get: all of them, or both ends."""
        return {
            key: extremes(value, key) if is_space(value) else list(value)
            for key, value in self.hyperparam_mutations.items()
        }


SchedulerSettings = FifoSettings | AshaSettings | PbtSettings

SCHEDULERS: dict[str, type[SchedulerSettings]] = {
    "fifo": FifoSettings,
    "asha": AshaSettings,
    "pbt": PbtSettings,
}
# The names that Ray's former command used.
_FORMER_NAMES = {
    "FIFO": "fifo",
    "ASHA": "asha",
    "AsyncHyperBand": "asha",
    "async_hyperband": "asha",
    "PBT": "pbt",
    "PopulationBasedTraining": "pbt",
}


def scheduler_name(place: str, name: str) -> str:
    """Returns a scheduler's name in ``SCHEDULERS``.

    Args:
        place: Where it stands, for messages.
        name: As the user wrote it.

    Raises:
        InputError: There is no such scheduler.
    """
    known = _FORMER_NAMES.get(name, name)
    if known not in SCHEDULERS:
        raise unknown_name(place, name, SCHEDULERS, also=_FORMER_NAMES)
    return known


def check_compared_keys(
    settings: SchedulerSettings, results: Mapping[str, ResultKey], place: str
) -> None:
    """Checks that the run reports the result keys which a scheduler compares.

    Args:
        settings: The scheduler's settings.
        results: The result keys of the run.
        place: The place of the settings, for messages.

    Raises:
        InputError: A line for each unknown key.
    """
    if isinstance(settings, FifoSettings):
        return
    growing = [key for key, row in results.items() if row.grows]
    problems = Problems()
    for attribute, legal in (("metric", list(results)), ("time_attr", growing)):
        key = getattr(settings, attribute)
        with problems.collect():
            if key not in legal:
                raise unknown_result_key(f"{place}.{attribute}", key, legal)
    problems.raise_if_any()
