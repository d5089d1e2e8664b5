"""The services that show results, and the module that sends them to each.

Such a module offers ``check(settings, name)``, which raises InputError if the service cannot be
used, and ``make_callback(settings, name, folder)``. It imports the service's package, so it is
loaded only if a user names the service.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ray.tune import Callback

from rllib_ptm.cli.read.logger_settings import MLFLOW, WANDB, LoggerSettings

SERVICES: dict[str, str] = {
    WANDB: "rllib_ptm.cli.log.wandb_runs",
    MLFLOW: "rllib_ptm.cli.log.mlflow_runs",
}


def check_loggers(loggers: Mapping[str, LoggerSettings], name: str) -> None:
    """Checks that the services can be used, before anything starts.

    Args:
        loggers: Settings by service.
        name: The experiment's name.

    Raises:
        InputError: One of them cannot be used.
    """
    for service, settings in loggers.items():
        _module(service).check(settings, name)


def service_callbacks(
    loggers: Mapping[str, LoggerSettings], name: str, folder: Path
) -> Iterator[Callback]:
    """Makes a callback for each service.

    Args:
        loggers: Settings by service.
        name: The experiment's name.
        folder: The run's folder.
    """
    for service, settings in loggers.items():
        yield _module(service).make_callback(settings, name, folder)


def _module(service: str) -> Any:
    return importlib.import_module(SERVICES[service])
