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
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from rllib_ptm import pretrained
from rllib_ptm.checks.errors import InputError, Problems, located, unknown_name
from rllib_ptm.checks.settings import Settings, one_of, read_settings
from rllib_ptm.cli.read.limits import MOST_TRIALS
from rllib_ptm.cli.read.logger_settings import Loggers, read_loggers, with_chosen
from rllib_ptm.cli.read.python_file import read_python_experiment
from rllib_ptm.cli.read.result_keys import check_stop, reported_keys, unknown_result_key
from rllib_ptm.cli.read.sample_seeds import with_sample_seeds
from rllib_ptm.cli.read.scheduler_settings import (
    SCHEDULERS,
    FifoSettings,
    PbtSettings,
    SchedulerSettings,
    check_compared_keys,
    scheduler_name,
)
from rllib_ptm.cli.read.search_algorithm import (
    RANDOM,
    RandomSettings,
    SearchSettings,
    check_search,
    read_search,
    search_algorithm_name,
)
from rllib_ptm.cli.read.search_space import read_spaces, variants
from rllib_ptm.cli.read.text import check_path, read_yaml
from rllib_ptm.environment.names import check_name, game_of
from rllib_ptm.extensions import import_extensions

_NAME = re.compile(r"\w[\w.+=-]{0,99}")
_LONGEST_NAME_BYTES = 200  # a folder's name has at most 255, on some file systems fewer
_ENVIRONMENT_KEYS = {"env", "config"}  # the keys that say which tasks are played
_OF_RLLIB = ("class", "worker_index")  # in the state of a config; Tune's begin with underscores
ALGORITHMS = ("PTM",)


class CheckpointSettings(Settings):
    """The keys of ``checkpoint_config``, as Ray Tune names them."""

    checkpoint_frequency: int = Field(
        0, ge=0, description="iterations between checkpoints; 0 = only at the end"
    )
    checkpoint_at_end: bool = Field(
        True, description="the last checkpoint; the evaluation at the end may need it"
    )
    num_to_keep: int | None = Field(None, ge=1, description="checkpoints kept; null = all")
    checkpoint_score_attribute: str | None = Field(
        None,
        description="the result key that decides which checkpoints are kept, and which one is "
        "evaluated; null = the newest",
    )
    checkpoint_score_order: Annotated[str, one_of(("max", "min"))] = Field(
        "max", description="whether the largest or the smallest scores are best"
    )

    @field_validator("checkpoint_at_end")
    @classmethod
    def _check_at_end(cls, at_end: bool) -> bool:
        if not at_end:
            raise InputError(
                "checkpoint_at_end: expected true (the evaluation at the end plays that "
                "checkpoint), found false"
            )
        return at_end

    @field_validator("checkpoint_score_order")
    @classmethod
    def _check_order(cls, order: str, info: ValidationInfo) -> str:
        if order == "min" and info.data.get("checkpoint_score_attribute", "") is None:
            raise InputError(
                "checkpoint_score_order: it changes nothing without checkpoint_score_attribute, "
                "found 'min'"
            )
        return order


class ExperimentSettings(Settings):
    """The keys of one experiment. A check that needs other keys is skipped if these are wrong."""

    run: str | None = Field(None, validate_default=True, description="the algorithm")
    env: str | None = Field(None, description="the environment; may be in the config instead")
    config: Mapping | None = Field(
        None, validate_default=True, description="the algorithm's settings"
    )
    num_samples: int = Field(
        1, ge=1, le=MOST_TRIALS, description="how often each variant of the config is trained"
    )
    max_concurrent_trials: int | None = Field(
        None, ge=1, le=MOST_TRIALS, description="trials that run at once; null = as many as fit"
    )
    max_failures: int = Field(
        0,
        ge=-1,
        description="how often a failed trial resumes from its last checkpoint; -1 = always",
    )
    checkpoint_config: CheckpointSettings = Field(
        CheckpointSettings(), description="which checkpoints are saved"
    )
    scheduler: str = Field("fifo", description="what ends or changes trials early")
    scheduler_config: SchedulerSettings = Field(
        None, validate_default=True, description="the scheduler's settings"
    )
    search_alg: str = Field(RANDOM, description="what draws the values of each trial")
    search_config: SearchSettings = Field(
        None, validate_default=True, description="the settings of what draws the values"
    )
    loggers: dict = Field(
        {}, description="services that get the results: a list of names, or names with settings"
    )
    stop: Mapping | None = Field(
        None, validate_default=True, description="result keys and the values that end the run"
    )

    @field_validator("run")
    @classmethod
    def _check_run(cls, run: str | None) -> str:
        return _known_name("run", run, ALGORITHMS)

    @field_validator("config")
    @classmethod
    def _check_config(
        cls, config: Mapping[str, Any] | None, info: ValidationInfo
    ) -> Mapping[str, Any]:
        config = config or {}
        problems = Problems()
        for key in config:
            with problems.collect():
                if key in _OF_RLLIB or key.startswith("__"):
                    raise InputError(f"config.{key}: Ray writes it itself; leave it out")
        with problems.collect():
            read_spaces(config, "config")
        import_extensions(config.get("extensions", ()))  # first: others may name what they add
        if "env" in info.data:
            with problems.collect():
                config = {**config, "env": _environment(info.data["env"], config.get("env"))}
                played_tasks(config)
        problems.raise_if_any()
        return config

    @field_validator("checkpoint_config", mode="before")
    @classmethod
    def _read_checkpoint(cls, written: Any, info: ValidationInfo) -> CheckpointSettings:
        place = "checkpoint_config"
        settings = read_settings(CheckpointSettings, {} if written is None else written, place)
        score = settings.checkpoint_score_attribute
        if score is not None and info.data.keys() >= _ENVIRONMENT_KEYS:
            results = reported_keys(*played_tasks(info.data["config"]))
            if score not in results:
                raise unknown_result_key(f"{place}.checkpoint_score_attribute", score, results)
        return settings

    @field_validator("scheduler")
    @classmethod
    def _check_scheduler(cls, scheduler: str) -> str:
        return scheduler_name("scheduler", scheduler)

    @field_validator("scheduler_config", mode="before")
    @classmethod
    def _read_scheduler(cls, written: Any, info: ValidationInfo) -> SchedulerSettings:
        if "scheduler" not in info.data:
            return FifoSettings()
        kind = SCHEDULERS[info.data["scheduler"]]
        if kind is FifoSettings and isinstance(written, Mapping):
            _check_no_settings(written)
        settings = read_settings(kind, {} if written is None else written, "scheduler_config")
        if info.data.keys() >= _ENVIRONMENT_KEYS:
            results = reported_keys(*played_tasks(info.data["config"]))
            check_compared_keys(settings, results, "scheduler_config")
        return settings

    @field_validator("search_alg")
    @classmethod
    def _check_search_alg(cls, name: str) -> str:
        return search_algorithm_name("search_alg", name)

    @field_validator("search_config", mode="before")
    @classmethod
    def _read_search(cls, written: Any, info: ValidationInfo) -> SearchSettings:
        known = info.data
        if not known.keys() >= {"search_alg", "scheduler_config", "num_samples"}:
            return RandomSettings()
        scheduler = known["scheduler_config"]
        settings = read_search(known["search_alg"], written, "search_config", scheduler)
        if known.keys() >= _ENVIRONMENT_KEYS:
            config = known["config"]
            results = reported_keys(*played_tasks(config))
            check_search(settings, config, scheduler, known["num_samples"], results)
        return settings

    @field_validator("loggers", mode="before")
    @classmethod
    def _read_loggers(cls, written: Any) -> Loggers:
        return read_loggers([] if written is None else written, "loggers")

    @field_validator("stop")
    @classmethod
    def _check_stop(cls, stop: Mapping[str, Any] | None, info: ValidationInfo) -> Any:
        if not info.data.keys() >= _ENVIRONMENT_KEYS:
            return stop
        if stop is None and "run" not in info.data:
            return stop  # a wrong algorithm is reported without a missing stop
        return check_stop(stop, reported_keys(*played_tasks(info.data["config"])), "stop")


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
        """The configs that Tune may train, mutations included; see ``search_space.variants``."""
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


def _check_no_settings(written: Mapping[str, Any]) -> None:
    """Refuses settings of a scheduler without any."""
    others = [name for name, kind in SCHEDULERS.items() if kind is not FifoSettings]
    if written:
        raise InputError(
            *(
                f"scheduler_config.{key}: {key!r} is unknown to the scheduler 'fifo', which has "
                f"no settings; other schedulers: {', '.join(others)}"
                for key in written
            )
        )


def _known_name(place: str, value: Any, legal: tuple[str, ...]) -> str:
    if value is None:
        raise InputError(f"{place}: expected one of {', '.join(legal)}, found nothing")
    if value not in legal:
        raise unknown_name(place, value, legal)
    return str(value)


def played_tasks(config: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Reads ``env_config`` in every variant of a config.

    Returns:
        The names of all tasks, and of those that are evaluated while training.

    Raises:
        InputError: A line for each thing in it that cannot be used.
    """
    env = config["env"]
    games, problems = [], Problems()
    for variant in variants({"env_config": config.get("env_config") or {}}, "config"):
        with problems.collect(), _located_game():
            games.append((variant["env_config"], game_of(env, variant["env_config"])))
    problems.raise_if_any()
    tasks = tuple(dict.fromkeys(task for _, game in games for task in game.tasks))
    changes = config.get("evaluation_config")
    other = changes.get("env_config") if isinstance(changes, Mapping) else None
    if not config.get("evaluation_interval"):
        return tasks, ()
    if not isinstance(other, Mapping) or "tasks" not in other:
        return tasks, tasks
    with located("config.evaluation_config: "):
        return tasks, game_of(env, {**games[0][0], **other}).tasks


@contextmanager
def _located_game() -> Iterator[None]:
    """Says in messages which key of an experiment is meant: ``env_config``, or ``env`` itself."""
    try:
        yield
    except InputError as error:
        raise InputError(
            *(
                f"config.{line}" if line.startswith("env_config") else f"env: {line}"
                for line in error.lines
            )
        ) from None


def _environment(beside: str | None, inside: Any) -> str:
    """The name of the environment, which may stand beside the config or in it."""
    if beside is not None and inside is not None and beside != inside:
        raise InputError(f"config.env: expected {beside!r} as in env, found {inside!r}")
    env = inside if beside is None else beside
    check_name(env)
    return str(env)


def _shortened(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
