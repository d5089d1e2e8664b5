"""Sends results to MLflow: a run for each trial."""

from __future__ import annotations

import os
from pathlib import Path

from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.experiment import Trial

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.log.files import each_once
from rllib_ptm.cli.read.logger_settings import MLFLOW, MlflowSettings
from rllib_ptm.cli.show.messages import print_errors
from rllib_ptm.ray_private.tune import mlflow_run_ids

_URI = "MLFLOW_TRACKING_URI"  # an environment variable of MLflow's
# A server that does not answer must not stop the training for minutes, as by MLflow's defaults.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_FOLDER_TAG = "run_folder"


def check(settings: MlflowSettings, name: str) -> None:
    """Checks that the server or the database can be read.

    Args:
        settings: The user's settings.
        name: The experiment's name.

    Raises:
        InputError: It cannot.
    """
    import mlflow

    _set_patience()
    mlflow.set_tracking_uri(_uri(settings))
    where = mlflow.get_tracking_uri()
    try:
        mlflow.get_experiment_by_name(settings.experiment_name or name)
    except Exception as error:  # MLflow's own, those of its databases, and those of HTTP
        reason = " ".join(str(error).split())
        raise InputError(f"loggers.{MLFLOW}: {where}: {reason:.300}") from error


class MlflowRuns(MLflowLoggerCallback):
    """Ray's callback. It continues the run of a resumed trial, and never ends a training.

    Args:
        settings: The user's settings.
        name: The experiment's name; MLflow's experiment has it, too.
        folder: The run's folder.
    """

    def __init__(self, settings: MlflowSettings, name: str, folder: Path) -> None:
        _set_patience()
        super().__init__(
            tracking_uri=_uri(settings),
            experiment_name=settings.experiment_name or name,
            tags={**settings.tags, _FOLDER_TAG: str(folder)},
        )
        self._lost = False

    def log_trial_start(self, trial: Trial) -> None:
        """Called when a trial starts, resumes, or goes on with other settings."""
        if self._lost or trial in mlflow_run_ids(self):  # MLflow keeps the first settings of a run
            return
        try:
            if earlier := self._earlier_run(trial):
                mlflow_run_ids(self)[trial] = earlier
            else:
                super().log_trial_start(trial)
        except Exception as error:
            self._lose(error)

    def log_trial_result(self, iteration: int, trial: Trial, result: dict) -> None:
        """Called after each iteration of a trial."""
        if not self._lost:
            try:
                super().log_trial_result(iteration, trial, each_once(result))
            except Exception as error:
                self._lose(error)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Called when a trial has ended."""
        if not self._lost:
            try:
                super().log_trial_end(trial, failed)
            except Exception as error:
                self._lose(error)

    def _earlier_run(self, trial: Trial) -> str | None:
        """The run that an earlier part of this trial has written."""
        from mlflow.tracking import MlflowClient

        # A filter cannot hold every path: one with a quote ends the text that it stands in.
        runs = MlflowClient().search_runs(
            [str(self.mlflow_util.experiment_id)],
            filter_string=f"tags.trial_name LIKE '%{trial.trial_id}'",
        )
        wanted = {_FOLDER_TAG: self.tags[_FOLDER_TAG], "trial_name": str(trial)}
        found = (run.info.run_id for run in runs if wanted.items() <= run.data.tags.items())
        return next(found, None)

    def _lose(self, error: Exception) -> None:
        """Says that MLflow gets nothing more. The results stay in the run's own files."""
        self._lost = True
        reason = " ".join(str(error).split())
        print_errors([f"{MLFLOW}: {reason:.300}; the training goes on without it"])


def _uri(settings: MlflowSettings) -> str | None:
    return settings.tracking_uri or os.environ.get(_URI)


def _set_patience() -> None:
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)


make_callback = MlflowRuns
