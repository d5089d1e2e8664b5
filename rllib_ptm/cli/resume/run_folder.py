"""A run's folder, and the record in it of what was begun."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.search.algorithms import RANDOM
from rllib_ptm.cli.read.search.spaces import grid_size, is_space

RECORD_FILE = "experiment.json"

# What a resumed run may change, as none of it changes what is learnt from the next step on.
_CHANGEABLE = (
    "stop",
    "checkpoint",
    "num_samples",
    "max_concurrent_trials",
    "max_failures",
    "loggers",
)
CHANGEABLE_CONFIG = (
    "num_env_runners",
    "num_cpus_per_env_runner",
    "num_gpus_per_env_runner",
    "num_cpus_for_main_process",
    "num_cpus_per_learner",
    "num_gpus_per_learner",
    "evaluation_num_env_runners",
    "evaluation_interval",
    "evaluation_duration",
    "sample_timeout_s",
    "learner_timeout_s",
)
_DERIVED = ("name", "tasks")  # the folder's name, and the tasks of the config
_MISSING = "not set"
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def new_run_folder(storage: Path, name: str) -> Path:
    """Makes a folder that holds no other run: NAME, or else NAME-2, NAME-3, ..."""
    for number in itertools.count(1):
        folder = storage / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            if not folder.is_dir() or any(folder.iterdir()):
                continue
        return folder
    raise AssertionError  # the numbers do not end


def newest_run_folder(storage: Path, name: str) -> Path | None:
    """The folder of an experiment's newest run; None if there is no run."""
    form = re.compile(re.escape(name) + r"(?:-(\d+))?")
    numbered = []
    for folder in storage.iterdir():
        match = form.fullmatch(folder.name)
        if match and folder.is_dir() and _is_of(folder, name):
            numbered.append((int(match[1] or 1), folder))
    return max(numbered)[1] if numbered else None


def _is_of(folder: Path, name: str) -> bool:
    """Whether a folder holds a run, and not one of an experiment that its record names."""
    record, _ = read_record(folder)
    return any(folder.iterdir()) and (record or {}).get("name", name) == name


def write_record(experiment: Experiment, folder: Path) -> None:
    """Writes what is begun, whole or not at all."""
    draft = folder / f".{RECORD_FILE}.draft"
    with draft.open("w", encoding="utf-8") as file:
        file.write(json.dumps(_record(experiment), indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / RECORD_FILE)


def read_record(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """What was begun; or None, and why it cannot be read."""
    file = folder / RECORD_FILE
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return None, f"{file} cannot be read: {_reason(error)}"
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        return None, f"{file} cannot be read: it holds no experiment"
    return record, ""


def changes(experiment: Experiment, before: Mapping[str, Any]) -> list[str]:
    """What the experiment changes of the one begun, where it may.

    Args:
        experiment: What the user wants now.
        before: The record of what was begun.

    Returns:
        A text for each key that has changed.

    Raises:
        InputError: A key has changed that must stay, or the search would be smaller.
    """
    now = _record(experiment)
    allowed = {*_CHANGEABLE, *(f"config.{key}" for key in CHANGEABLE_CONFIG)}
    made: list[str] = []
    refused: list[str] = []
    for path, old, new in _differences(_compared(before), _compared(now)):
        text = f"{path} was {_text(old)}, is {_text(new)}"
        may = path in allowed or path.split(".")[0] in _CHANGEABLE
        (made if may else refused).append(text)
    if refused:
        may_change = ", ".join((*_CHANGEABLE, *CHANGEABLE_CONFIG)).replace(
            "checkpoint,", "checkpoint_config,"
        )
        raise InputError(
            f"--resume: the experiment is not the one begun: {'; '.join(refused)}; a resumed run "
            f"can change {may_change}"
        )
    _check_samples(experiment, before.get("num_samples", 1))
    return made


def _check_samples(experiment: Experiment, before: int) -> None:
    """Raises if the trials begun would not be the first ones of the search."""
    now, text = experiment.num_samples, f"--resume: num_samples was {before}"
    if now < before:
        raise InputError(f"{text}, is {now}: a search can only get larger")
    if now > before and grid_size(experiment.config) > 1:
        raise InputError(
            f"{text}, is {now}: a search with a grid cannot get more samples; train them as an "
            f"experiment of another name"
        )


def config_differences(
    experiment: Experiment, config: Mapping[str, Any], free: frozenset[str]
) -> list[str]:
    """What a trial's config says other than the experiment's, resources apart.

    Args:
        experiment: What the user wants; its search spaces allow any value.
        config: The config that a trial was trained with.
        free: Top-level keys that may have any value.
    """
    skipped = free | set(CHANGEABLE_CONFIG)
    expected = {k: v for k, v in _plain(experiment.config).items() if k not in skipped}
    found = {k: v for k, v in _plain(config).items() if k not in skipped}
    return [
        f"config.{path} was {_text(old)}, is {_text(new)}"
        for path, old, new in _differences(found, expected)
        if not is_space(new)
    ]


def setting_differences(
    before: Mapping[str, Any], now: Mapping[str, Any], skipped: Collection[str]
) -> list[str]:
    """A text for each setting in which two trainings differ.

    Args:
        before: The settings of one.
        now: Those of the other.
        skipped: Names of settings that may differ, at any depth.
    """
    return [
        f"{path} was {_text(old)}, is {_text(new)}"
        for path, old, new in _differences(before, now)
        if path.split(".")[-1] not in skipped
    ]


def _record(experiment: Experiment) -> dict[str, Any]:
    settings = asdict(experiment)
    del settings["source"]
    # Records of earlier versions have none of these, and mean the same.
    if not settings["loggers"]:
        del settings["loggers"]
    if experiment.search_alg == RANDOM:
        del settings["search_alg"], settings["search_settings"]
    return _plain(settings)


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them: lists for tuples, text for keys."""
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=_model_or_text))
    return plain


def _model_or_text(value: Any) -> Any:
    """An object of Python's as text, without its address, which differs in each process."""
    return value.model_dump() if hasattr(value, "model_dump") else _ADDRESS.sub("", str(value))


def _compared(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in _DERIVED}


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """The path, the old and the new value of every key that differs."""
    for key in dict.fromkeys((*now, *before)):
        old, new = before.get(key, _MISSING), now.get(key, _MISSING)
        if isinstance(old, Mapping) and isinstance(new, Mapping) and not is_space(new):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}", old, new


def _text(value: Any) -> str:
    return value if value == _MISSING else json.dumps(value)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
