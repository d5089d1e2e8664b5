"""The callbacks that send results to the services that a user names.

A service's module imports its package, so it is imported only if it is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ray.tune import Callback

from rllib_ptm.cli.read.logger_settings import LoggerSettings, WandbSettings


def check_loggers(loggers: Mapping[str, LoggerSettings], name: str) -> None:
    """Checks that the services can be used, before anything starts.

    Args:
        loggers: Settings by name.
        name: The experiment's name.

    Raises:
        InputError: One of them cannot be used.
    """
    for settings in loggers.values():
        if isinstance(settings, WandbSettings):
            from rllib_ptm.cli.log.wandb_runs import check_wandb

            check_wandb(settings)
        else:
            from rllib_ptm.cli.log.mlflow_runs import check_mlflow

            check_mlflow(settings, name)


def service_callbacks(
    loggers: Mapping[str, LoggerSettings], name: str, folder: Path
) -> Iterator[Callback]:
    """Makes a callback for each service.

    Args:
        loggers: Settings by name.
        name: The experiment's name.
        folder: The run's folder.
    """
    for settings in loggers.values():
        if isinstance(settings, WandbSettings):
            from rllib_ptm.cli.log.wandb_runs import WandbRuns

            yield WandbRuns(settings, name, folder)
        else:
            from rllib_ptm.cli.log.mlflow_runs import MlflowRuns

            yield MlflowRuns(settings, name, folder)
