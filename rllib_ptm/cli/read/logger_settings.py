"""The services that show results: their names, and the settings of each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from rllib_ptm.checks.errors import InputError, Problems, shown, unknown_name
from rllib_ptm.checks.extras import check_installed
from rllib_ptm.checks.settings import ListAsTuple, Settings, one_of, read_settings

WANDB, MLFLOW = "wandb", "mlflow"
WANDB_MODE = "WANDB_MODE"  # an environment variable of wandb's
_MODES = ("online", "offline", "disabled")


class WandbSettings(Settings):
    """Weights & Biases. Its own environment variables apply, such as ``WANDB_MODE``."""

    project: str | None = Field(None, description="the project; null = the experiment's name")
    group: str | None = Field(None, description="the group; null = the run folder's name")
    entity: str | None = Field(None, description="the user or team; null = the account's default")
    tags: Annotated[tuple[str, ...], ListAsTuple] = Field((), description="tags of each run")
    notes: str | None = Field(None, description="a description of each run")
    mode: Annotated[str, one_of(_MODES)] | None = Field(
        None, description="online, offline or disabled; null = WANDB_MODE, or else online"
    )
    api_key_file: str | None = Field(
        None, description="a file that holds the API key; null = WANDB_API_KEY or `wandb login`"
    )
    upload_checkpoints: bool = Field(False, description="whether checkpoints are uploaded, too")

    @field_validator("api_key_file")
    @classmethod
    def _check_key_file(cls, path: str | None) -> str | None:
        if path is not None and not Path(path).expanduser().is_file():
            raise InputError(f"api_key_file: there is no file {path!r}")
        return path

    @property
    def used_mode(self) -> str:
        """The mode, be it from the environment."""
        return self.mode or os.environ.get(WANDB_MODE) or _MODES[0]


class MlflowSettings(Settings):
    """MLflow. Its own environment variables apply, such as ``MLFLOW_TRACKING_URI``."""

    tracking_uri: str | None = Field(
        None,
        description="a server or a database, such as sqlite:///mlflow.db; null = MLflow's default",
    )
    experiment_name: str | None = Field(
        None, description="the experiment; null = the experiment's name"
    )
    tags: Mapping[str, str] = Field({}, description="tags of each run")


LoggerSettings = WandbSettings | MlflowSettings
Loggers = dict[str, LoggerSettings]
LOGGERS: dict[str, type[LoggerSettings]] = {WANDB: WandbSettings, MLFLOW: MlflowSettings}


def read_loggers(written: Any, place: str) -> Loggers:
    """Reads which loggers a user wants.

    Args:
        written: A list of names, or a mapping of names to settings.
        place: Where it stands, for messages.

    Raises:
        InputError: A line for each unknown name or setting, and for each package that is missing.
    """
    if isinstance(written, list):
        written = dict.fromkeys(_names(written, place))
    if not isinstance(written, Mapping):
        raise InputError(
            f"{place}: expected a list of names, or a mapping of names to settings, found "
            f"{shown(written)}; legal: {', '.join(LOGGERS)}"
        )
    loggers: Loggers = {}
    problems = Problems()
    for name, settings in written.items():
        with problems.collect():
            if name not in LOGGERS:
                raise unknown_name(place, name, LOGGERS)
            inner = f"{place}.{name}"
            loggers[name] = read_settings(
                LOGGERS[name], {} if settings is None else settings, inner
            )
            check_installed(name, inner)
    problems.raise_if_any()
    return loggers


def _names(written: list[Any], place: str) -> list[str]:
    for name in written:
        if isinstance(name, Mapping):
            raise InputError(
                f"{place}: a logger with settings has no dash before its name: {place}: "
                f"{shown(name)}"
            )
        if not isinstance(name, str):
            raise InputError(f"{place}: expected names of loggers, found {shown(name)}")
        if written.count(name) > 1:
            raise InputError(f"{place}: {shown(name)} stands twice")
    return written


def with_chosen(written: Any, chosen: Mapping[str, Mapping[str, Any]]) -> Any:
    """The loggers of a file, replaced by those of the command line.

    A logger that both name keeps the file's settings where the command line has none.

    Args:
        written: What the file says, unchecked.
        chosen: Names and settings of the command line.
    """
    inside = written if isinstance(written, Mapping) else {}
    kept = {name: value for name, value in inside.items() if isinstance(value, Mapping)}
    return {name: {**kept.get(name, {}), **settings} for name, settings in chosen.items()}
