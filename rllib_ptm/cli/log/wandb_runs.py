"""Sends results to Weights & Biases: a run for each trial."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ray.air.integrations.wandb import WandbLoggerCallback
from ray.tune.experiment import Trial

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.log.files import each_once
from rllib_ptm.cli.read.logger_settings import WANDB, WANDB_MODE, WandbSettings

_KEY = "WANDB_API_KEY"  # an environment variable of wandb's


def check(settings: WandbSettings, name: str) -> None:
    """Checks the names by wandb's own rules, and that there is an API key, if one is needed.

    Asks no server and no user.

    Args:
        settings: The user's settings.
        name: The experiment's name, which names the project.

    Raises:
        InputError: A name is not allowed, or there is no key.
    """
    import wandb

    try:
        wandb.Settings(project=settings.project or name, run_tags=settings.tags)
    except (wandb.Error, ValidationError) as error:
        reasons = (
            [str(details["msg"]) for details in error.errors()]
            if isinstance(error, ValidationError)
            else [str(error)]
        )
        raise InputError(*(f"loggers.{WANDB}: {reason}" for reason in reasons)) from error
    if settings.used_mode != "online" or settings.api_key_file or os.environ.get(_KEY):
        return
    if not wandb.login(prompt=False):
        raise InputError(
            f"loggers.{WANDB}: there is no API key: run `wandb login` or set {_KEY}; with "
            f"{WANDB_MODE}=offline the runs are stored here, and `wandb sync` sends them later"
        )


class WandbRuns(WandbLoggerCallback):
    """Ray's callback. It stores the runs below the run's folder, and continues resumed ones.

    Args:
        settings: The user's settings.
        name: The experiment's name, which names the project.
        folder: The run's folder, whose name is the group.
    """

    def __init__(self, settings: WandbSettings, name: str, folder: Path) -> None:
        os.environ[WANDB_MODE] = settings.used_mode  # Ray asks for no key if it is "offline"
        super().__init__(
            project=settings.project or name,
            group=settings.group or folder.name,
            api_key_file=settings.api_key_file,
            upload_checkpoints=settings.upload_checkpoints,
            entity=settings.entity,
            tags=list(settings.tags),
            notes=settings.notes,
            mode=settings.used_mode,
            dir=str(folder),
            resume="allow",
        )

    def log_trial_result(self, iteration: int, trial: Trial, result: dict) -> None:
        """Called after each iteration of a trial."""
        super().log_trial_result(iteration, trial, each_once(result))

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Called by Tune at the end. Ray would wait for paused trials, which Ctrl-C leaves."""
        for trial in _paused(trials):
            self.log_trial_end(trial)
        super().on_experiment_end(trials, **info)


def _paused(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.status == Trial.PAUSED]


make_callback = WandbRuns
