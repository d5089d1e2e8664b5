"""The keys of an experiment, and what may stand there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from rllib_ptm.checks.errors import InputError, Problems, located, unknown_name
from rllib_ptm.checks.settings import Settings, one_of, read_settings
from rllib_ptm.cli.read.limits import MOST_TRIALS
from rllib_ptm.cli.read.logger_settings import Loggers, read_loggers
from rllib_ptm.cli.read.result_keys import (
    ResultKey,
    check_stop,
    reported_keys,
    unknown_result_key,
)
from rllib_ptm.cli.read.search.algorithms import (
    RANDOM,
    RandomSettings,
    SearchSettings,
    check_search,
    read_search,
    search_algorithm_name,
)
from rllib_ptm.cli.read.search.schedulers import (
    SCHEDULERS,
    FifoSettings,
    SchedulerSettings,
    check_compared_keys,
    scheduler_name,
)
from rllib_ptm.cli.read.search.spaces import read_spaces, variants
from rllib_ptm.environment.names import check_name, game_of
from rllib_ptm.extensions import import_extensions

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
        results = _result_keys(info.data)
        if score is not None and results is not None and score not in results:
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
        results = _result_keys(info.data)
        if results is not None:
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
        results = _result_keys(known)
        if results is not None:
            check_search(settings, known["config"], scheduler, known["num_samples"], results)
        return settings

    @field_validator("loggers", mode="before")
    @classmethod
    def _read_loggers(cls, written: Any) -> Loggers:
        return read_loggers([] if written is None else written, "loggers")

    @field_validator("stop")
    @classmethod
    def _check_stop(cls, stop: Mapping[str, Any] | None, info: ValidationInfo) -> Any:
        results = _result_keys(info.data)
        if results is None or (stop is None and "run" not in info.data):
            return stop  # a wrong algorithm is reported without a missing stop
        return check_stop(stop, results, "stop")


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


def _result_keys(known: Mapping[str, Any]) -> Mapping[str, ResultKey] | None:
    """What a result of the run holds; None if the keys that say so are wrong.

    Args:
        known: The keys of the experiment that are right so far.
    """
    if not known.keys() >= {"env", "config"}:
        return None
    return reported_keys(*played_tasks(known["config"]))


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
