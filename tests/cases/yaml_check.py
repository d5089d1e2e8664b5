"""Whether the YAML of a page is legal: an experiment, some of its keys, or some of a config's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from rllib_ptm.cli.read.experiment import read_experiment, read_experiments
from rllib_ptm.cli.read.experiment_settings import ExperimentSettings
from rllib_ptm.cli.read.rllib_check import check_with_rllib

# What a part of an experiment is completed with.
_EXPERIMENT = {"run": "PTM", "env": "multi_task_sc2", "stop": {"training_iteration": 1}}
_CONFIG: dict[str, Any] = {"evaluation_interval": 1}
_ENV_CONFIG: dict[str, Any] = {"tasks": "small_mt"}


def check_yaml(text: str, folder: Path) -> None:
    """Checks it as ``rllib train file`` does before anything starts.

    Args:
        text: A whole experiment file, or some keys of an experiment or of its config.
        folder: Where the page's files are.

    Raises:
        InputError: It cannot be used.
    """
    keys = yaml.safe_load(text)
    if any(isinstance(value, dict) and "run" in value for value in keys.values()):
        file = folder / "checked.yaml"
        file.write_text(text)
        experiments = read_experiments(file)
        file.unlink()
    else:
        experiments = [read_experiment("part", _completed(keys), "the page")]
    for experiment in experiments:
        check_with_rllib(experiment)


def _completed(keys: dict[str, Any]) -> dict[str, Any]:
    of_experiment = {k: v for k, v in keys.items() if k in ExperimentSettings.key_names()}
    of_config = {k: v for k, v in keys.items() if k not in of_experiment}
    config = {**_CONFIG, **of_config, **(of_experiment.pop("config", None) or {})}
    if "env" not in of_experiment:
        config["env_config"] = {**_ENV_CONFIG, **config.get("env_config", {})}
    return {**_EXPERIMENT, **of_experiment, "config": config}
