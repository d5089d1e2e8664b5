"""The schedulers of trials: what ends a trial early, or changes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from envs.errors import unknown_name
from envs.settings import read_config
from rllib_ptm.cli.read.scheduler_settings import (
    AshaSettings,
    FifoSettings,
    PbtSettings,
    SchedulerSettings,
)
from rllib_ptm.cli.read.stop_keys import StopKey

SCHEDULERS: dict[str, type[SchedulerSettings]] = {
    "fifo": FifoSettings,
    "asha": AshaSettings,
    "pbt": PbtSettings,
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
    checked: Any = read_config(SCHEDULERS[known], settings, "scheduler_config")
    if not isinstance(checked, FifoSettings):
        growing = [key for key, row in results.items() if row.grows]
        _check_key("scheduler_config.metric", checked.metric, results)
        _check_key("scheduler_config.time_attr", checked.time_attr, growing)
    return known, checked


def _check_key(place: str, key: str, legal: Iterable[str]) -> None:
    if key not in legal:
        raise unknown_name(place, key, legal)
