"""An experiment in Ray's classic form, ``{name: {run, env, stop, checkpoint_config, config}}``.

This module checks everything that needs neither Ray nor torch, so that a mistake costs the user a
fraction of a second. ``rllib_check`` checks the rest, before any Ray process starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rllib_ptm import pretrained
from rllib_ptm.checks.errors import InputError, Problems, located
from rllib_ptm.checks.settings import read_settings
from rllib_ptm.cli.read.experiment_settings import (
    CheckpointSettings,
    ExperimentSettings,
    played_tasks,
)
from rllib_ptm.cli.read.logger_settings import Loggers, with_chosen
from rllib_ptm.cli.read.python_file import read_python_experiment
from rllib_ptm.cli.read.search.algorithms import (
    RANDOM,
    SearchSettings,
)
from rllib_ptm.cli.read.search.sample_seeds import with_sample_seeds
from rllib_ptm.cli.read.search.schedulers import (
    PbtSettings,
    SchedulerSettings,
)
from rllib_ptm.cli.read.search.spaces import variants
from rllib_ptm.cli.read.text import check_path, read_yaml

_NAME = re.compile(r"\w[\w.+=-]{0,99}")
_LONGEST_NAME_BYTES = 200  # a folder's name has at most 255, on some file systems fewer


@dataclass(frozen=True)
class Experiment:
    """One checked experiment.

    Attributes:
        name: Its name, which its results folder has too.
        source: Where it was written: a file, or the command line.
        algorithm: The name of a registered algorithm.
        config: The algorithm's settings, ``env`` included; may hold ``grid_search``.
        stop: Result keys, and the values that end the run; the first one reached ends it.
        checkpoint: Which checkpoints are saved and kept.
        num_samples: How often each variant of the config is trained.
        max_concurrent_trials: How many trials run at once; None = as many as fit.
        max_failures: How often a failed trial resumes from its last checkpoint; -1 = always.
        scheduler: A key of ``SCHEDULERS``.
        scheduler_settings: The scheduler's settings.
        search_alg: A key of ``SEARCH_ALGORITHMS``: what draws the values of each trial.
        search_settings: Its settings.
        loggers: The services that get the results, with their settings.
        tasks: Names of the tasks that the variants train, without repeats.
    """

    name: str
    source: str
    algorithm: str
    config: dict[str, Any]
    stop: dict[str, float]
    checkpoint: CheckpointSettings
    num_samples: int
    max_concurrent_trials: int | None
    max_failures: int
    scheduler: str
    scheduler_settings: SchedulerSettings
    search_alg: str
    search_settings: SearchSettings
    loggers: Loggers
    tasks: tuple[str, ...]

    def variants(self) -> Iterator[dict[str, Any]]:
        """The configs that Tune may train, mutations included; see ``search.spaces.variants``."""
        yield from variants(self.config, "config")
        if isinstance(self.scheduler_settings, PbtSettings):
            mutated = self.scheduler_settings.mutated().items()
            grids = {key: {"grid_search": values} for key, values in mutated}
            yield from variants({**self.config, **grids}, "config")

    def samples(self) -> tuple[dict[str, Any], int]:
        """The config that Tune gets, with a seed for each sample, and its number of samples.

        A search algorithm other than a random one gives each trial its seed itself.
        """
        if self.search_alg != RANDOM:
            return dict(self.config), self.num_samples
        return with_sample_seeds(self.config, self.num_samples)


def read_experiments(
    path: Path,
    chosen: Mapping[str, Any] | None = None,
    stop: dict[str, Any] | None = None,
) -> list[Experiment]:
    """Reads an experiment file.

    Args:
        path: A YAML file in Ray's classic form, or a Python file that defines ``config``; see
            ``python_file``. To run the latter imports Ray.
        chosen: Keys of an experiment from the command line, which replace the file's.
        stop: Stop conditions from the command line, likewise.

    Raises:
        InputError: The file cannot be read, or something in it cannot be used.
    """
    if path.suffix == ".py":
        return [read_experiment(path.stem, read_python_experiment(path), str(path), chosen, stop)]
    content = read_yaml(path)
    form = "{name: {run, env, stop, checkpoint_config, config}}"
    if not isinstance(content, Mapping) or not content:
        found = "an empty file" if content is None else repr(content)
        raise InputError(f"{path}: expected {form}, found {_shortened(found)}")
    if not any(isinstance(spec, Mapping) and "run" in spec for spec in content.values()) and (
        "run" in content or "config" in content
    ):
        raise InputError(
            f"{path}: expected {form}, found the keys of an experiment ({', '.join(content)}) "
            f"without a name above them"
        )
    problems = Problems()
    experiments = []
    for name, spec in content.items():
        with problems.collect():
            experiments.append(read_experiment(name, spec, str(path), chosen, stop))
    problems.raise_if_any()
    return experiments


def read_experiment(
    name: str,
    spec: Any,
    source: str,
    chosen: Mapping[str, Any] | None = None,
    stop: dict[str, Any] | None = None,
) -> Experiment:
    """Checks one experiment as far as possible without Ray.

    Args:
        name: Its name.
        spec: What the user wrote under that name.
        source: Where it was written, for messages.
        chosen: Keys of an experiment from the command line, which replace those of the spec.
        stop: Stop conditions from the command line, which replace those of the spec.

    Raises:
        InputError: A line for each thing in it that cannot be used.
    """
    with located(f"{source}: "):
        if not _NAME.fullmatch(name) or len(name.encode()) > _LONGEST_NAME_BYTES:
            raise InputError(
                f"{_shortened(repr(name))}: expected a name that can name the results folder: at "
                f"most 100 letters, digits and _ . + = - without '/', a letter or digit first, "
                f"and at most {_LONGEST_NAME_BYTES} bytes in UTF-8"
            )
        check_path(repr(name), name)
        if not isinstance(spec, Mapping):
            raise InputError(f"{name}: expected a mapping of keys to values, found {spec!r}")
        replaced = _replaced(spec, chosen or {})
        if stop is None:
            keys = read_settings(ExperimentSettings, replaced, name)
        else:
            with _stop_of_command_line(name):
                keys = read_settings(ExperimentSettings, {**replaced, "stop": stop}, name)
    return _experiment(name, source, keys)


def _experiment(name: str, source: str, keys: ExperimentSettings) -> Experiment:
    config = dict(keys.config or {})
    path = config.get("warm_start")
    if isinstance(path, str) and "://" not in path and path not in pretrained.names():
        config["warm_start"] = str(Path(path).expanduser().absolute())
    tasks, _ = played_tasks(config)
    return Experiment(
        name=name,
        source=source,
        algorithm=str(keys.run),
        config=config,
        stop=dict(keys.stop or {}),
        checkpoint=keys.checkpoint_config,
        num_samples=keys.num_samples,
        max_concurrent_trials=keys.max_concurrent_trials,
        max_failures=keys.max_failures,
        scheduler=keys.scheduler,
        scheduler_settings=keys.scheduler_config,
        search_alg=keys.search_alg,
        search_settings=keys.search_config,
        loggers=keys.loggers,
        tasks=tasks,
    )


@contextmanager
def _stop_of_command_line(name: str) -> Iterator[None]:
    """Names ``--stop`` in messages, in place of the key that it replaces."""
    key = f"{name}.stop"
    try:
        yield
    except InputError as error:
        raise InputError(
            *(
                f"{name}: --stop{line.removeprefix(key)}" if line.startswith(key) else line
                for line in error.lines
            )
        ) from None


def _replaced(spec: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with the keys of the command line; checkpoint settings are replaced one by one."""
    replaced = {**spec, **chosen}
    config = spec.get("config") or {}
    if "warm_start" in chosen and isinstance(config, Mapping):  # a key of the config
        replaced["config"] = {**config, "warm_start": replaced.pop("warm_start")}
    checkpoint = spec.get("checkpoint_config")
    if "checkpoint_config" in chosen and isinstance(checkpoint, Mapping):
        replaced["checkpoint_config"] = {**checkpoint, **chosen["checkpoint_config"]}
    if "loggers" in chosen:
        replaced["loggers"] = with_chosen(spec.get("loggers"), chosen["loggers"])
    for name, settings in (("scheduler", "scheduler_config"), ("search_alg", "search_config")):
        if name in chosen and settings not in chosen:
            replaced.pop(settings, None)  # those of another scheduler or algorithm
    return replaced


def _shortened(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
