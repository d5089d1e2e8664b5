"""The schedulers of trials: what ends a trial early, or changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envs.errors import unknown_name
from envs.settings import read_config
from rllib_ptm.cli.read.scheduler_settings import (
    AshaSettings,
    FifoSettings,
    PbtSettings,
    SchedulerSettings,
)
from rllib_ptm.cli.read.stop_keys import StopKey

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler


def _make_fifo(settings: Any) -> TrialScheduler:
    from rllib_ptm.cli.run.interrupt import PausingFIFO

    return PausingFIFO()


def _make_asha(settings: Any) -> TrialScheduler:
    from rllib_ptm.cli.run.interrupt import PausingASHA

    return PausingASHA(**vars(settings))


def _make_pbt(settings: Any) -> TrialScheduler:
    from rllib_ptm.cli.run.population import population_based_training

    return population_based_training(settings)


@dataclass(frozen=True)
class Scheduler:
    """A row of the table: what it can be told, and how it is made."""

    settings: type[SchedulerSettings]
    make: Callable[[Any], TrialScheduler]


SCHEDULERS: dict[str, Scheduler] = {
    "fifo": Scheduler(FifoSettings, _make_fifo),
    "asha": Scheduler(AshaSettings, _make_asha),
    "pbt": Scheduler(PbtSettings, _make_pbt),
}
# What Ray's command called them.
_FORMER_NAMES = {
    "FIFO": "fifo",
    "ASHA": "asha",
    "AsyncHyperBand": "asha",
    "async_hyperband": "asha",
    "PBT": "pbt",
    "PopulationBasedTraining": "pbt",
}


def read_scheduler(
    name: str, settings: Mapping[str, Any], results: Mapping[str, StopKey]
) -> tuple[str, SchedulerSettings]:
    """Checks a scheduler.

    Args:
        name: As it was written.
        settings: What was written of it.
        results: The result keys that can be compared.

    Returns:
        Its name in ``SCHEDULERS`` and its settings.

    Raises:
        InputError: An unknown name, or a setting that cannot be.
    """
    known = _FORMER_NAMES.get(name, name)
    if known not in SCHEDULERS:
        raise unknown_name("scheduler", name, SCHEDULERS, also=_FORMER_NAMES)
    checked: Any = read_config(SCHEDULERS[known].settings, settings, "scheduler_config")
    if not isinstance(checked, FifoSettings):
        growing = [key for key, row in results.items() if row.grows]
        _check_key("scheduler_config.metric", checked.metric, results)
        _check_key("scheduler_config.time_attr", checked.time_attr, growing)
    return known, checked


def _check_key(place: str, key: str, legal: Iterable[str]) -> None:
    if key not in legal:
        raise unknown_name(place, key, legal)
