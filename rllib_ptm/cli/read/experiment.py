"""An experiment in Ray's classic form, ``{name: {run, env, stop, checkpoint_config, config}}``.

Everything that needs neither Ray nor torch is checked here, so that a mistake costs the user a
tenth of a second. ``config_check`` does the rest, still before any Ray process starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.errors import InputError, unknown_name
from envs.settings import read_config, setting
from envs.starcraft.backends import EnvSettings
from rllib_ptm.cli.read.scheduler_settings import PbtSettings, SchedulerSettings
from rllib_ptm.cli.read.schedulers import read_scheduler
from rllib_ptm.cli.read.search_space import variants
from rllib_ptm.cli.read.stop_keys import StopKey, check_stop, legal_stop_keys
from rllib_ptm.cli.read.text import read_yaml

_NAME = re.compile(r"\w[\w.+=-]{0,99}")
ALGORITHMS = ("PTM",)
ENVIRONMENTS = ("multi_task_sc2",)


@dataclass(frozen=True)
class CheckpointSettings:
    """The keys of ``checkpoint_config``, as Ray Tune names them."""

    checkpoint_frequency: int = setting(
        0, "iterations between checkpoints; 0 = only at the end", at_least=0
    )
    checkpoint_at_end: bool = setting(True, "the last checkpoint, which the final games may need")
    num_to_keep: int | None = setting(None, "checkpoints kept; null = all", at_least=1)
    checkpoint_score_attribute: str | None = setting(
        None,
        "the result key by which checkpoints stay, and the best is played; null = the newest",
    )
    checkpoint_score_order: str = setting("max", "which scores are best", one_of=("max", "min"))

    def __post_init__(self) -> None:
        if not self.checkpoint_at_end:
            raise InputError(
                "checkpoint_config.checkpoint_at_end: expected true (the evaluation at the end "
                "plays that checkpoint), found false"
            )


@dataclass(frozen=True)
class _Spec:
    """The keys of one experiment."""

    run: str | None = setting(None, "the algorithm")
    env: str | None = setting(None, "the environment; may stand in the config instead")
    stop: Mapping | None = setting(None, "result keys and the values that end the run")
    checkpoint_config: Mapping | None = setting(None, "when to save")
    config: Mapping | None = setting(None, "the algorithm's settings")
    num_samples: int = setting(
        1, "how often each variant of the config is trained", at_least=1, at_most=10_000
    )
    max_concurrent_trials: int | None = setting(
        None,
        "trials that run at once; null = as many as there is room for",
        at_least=1,
        at_most=10_000,
    )
    max_failures: int = setting(
        0, "how often a trial that fails goes on from its last checkpoint; -1 = always", at_least=-1
    )
    scheduler: str = setting("fifo", "what ends or changes trials early")
    scheduler_config: Mapping | None = setting(None, "its settings")


@dataclass(frozen=True)
class Experiment:
    """One checked experiment.

    Attributes:
        name: Its name, also of its results folder.
        source: Where it was written: a file, or the command line.
        algorithm: The name of a registered algorithm.
        config: The algorithm's settings, ``env`` included; may hold ``grid_search``.
        stop: Result keys, and the values that end the run; the first one reached ends it.
        checkpoint: When to save.
        num_samples: How often each variant of the config is trained.
        max_concurrent_trials: How many run at once; None = as many as there is room for.
        max_failures: How often a trial that fails goes on from its last checkpoint; -1 = always.
        scheduler: A key of ``SCHEDULERS``.
        scheduler_settings: What it is told.
        tasks: Names of all tasks that any variant trains, without repeats.
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
    tasks: tuple[str, ...]

    def variants(self) -> Iterator[dict[str, Any]]:
        """The configs that Tune may train, mutations included; see ``search_space.variants``."""
        yield from variants(self.config, "config")
        if isinstance(self.scheduler_settings, PbtSettings):
            mutated = self.scheduler_settings.mutated().items()
            grids = {key: {"grid_search": values} for key, values in mutated}
            yield from variants({**self.config, **grids}, "config")


@contextmanager
def located(place: str) -> Iterator[None]:
    """Puts the place before the message of any input error inside."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def read_experiments(
    path: Path,
    chosen: Mapping[str, Any] | None = None,
    stop: dict[str, Any] | None = None,
) -> list[Experiment]:
    """Reads an experiment file.

    Args:
        path: A YAML file in Ray's classic form.
        chosen: Keys of an experiment from the command line, which replace the file's.
        stop: Stop conditions from the command line, likewise.

    Raises:
        InputError: The file cannot be read, or something in it cannot be used.
    """
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
    return [read_experiment(name, spec, str(path), chosen, stop) for name, spec in content.items()]


def read_experiment(
    name: str,
    spec: Any,
    source: str,
    chosen: Mapping[str, Any] | None = None,
    stop: dict[str, Any] | None = None,
) -> Experiment:
    """Checks one experiment as far as can be done without Ray.

    Args:
        name: Its name.
        spec: What the user wrote under that name.
        source: Where it was written, for messages.
        chosen: Keys of an experiment from the command line, which replace those of the spec.
        stop: Stop conditions from the command line, likewise.

    Raises:
        InputError: Something in it cannot be used.
    """
    with located(source):
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{_shortened(repr(name))}: expected a name that can name the results folder: at "
                f"most 100 letters, digits and _ . + = - without '/', a letter or digit first"
            )
        checked = read_config(_Spec, _replaced(spec, chosen or {}), name)
    with located(f"{source}: {name}"):
        return _experiment(name, source, checked, stop)


def _experiment(
    name: str, source: str, checked: _Spec, chosen_stop: dict[str, Any] | None
) -> Experiment:
    algorithm = _one_of("run", checked.run, ALGORITHMS)
    config = dict(checked.config or {})
    config["env"] = _environment(checked.env, config.get("env"))
    tasks, evaluated = _check_env_configs(config)
    conditions = check_stop(
        checked.stop if chosen_stop is None else chosen_stop,
        tasks,
        evaluated,
        place="stop" if chosen_stop is None else "--stop",
    )
    results = legal_stop_keys(tasks, evaluated)
    checkpoint = _read_checkpoint(checked.checkpoint_config or {}, results)
    scheduler, settings = read_scheduler(checked.scheduler, checked.scheduler_config or {}, results)
    return Experiment(
        name=name,
        source=source,
        algorithm=algorithm,
        config=config,
        stop=conditions,
        checkpoint=checkpoint,
        num_samples=checked.num_samples,
        max_concurrent_trials=checked.max_concurrent_trials,
        max_failures=checked.max_failures,
        scheduler=scheduler,
        scheduler_settings=settings,
        tasks=tasks,
    )


def _read_checkpoint(
    settings: Mapping[str, Any], results: Mapping[str, StopKey]
) -> CheckpointSettings:
    checkpoint = read_config(CheckpointSettings, settings, "checkpoint_config")
    score = checkpoint.checkpoint_score_attribute
    if score is not None:
        _one_of("checkpoint_config.checkpoint_score_attribute", score, tuple(results))
    return checkpoint


def _replaced(spec: Any, chosen: Mapping[str, Any]) -> Any:
    """The spec with what the command line says in place of its own; settings one by one."""
    if not isinstance(spec, Mapping):
        return spec  # read_config says what is wrong
    replaced = {**spec, **chosen}
    checkpoint = spec.get("checkpoint_config")
    if "checkpoint_config" in chosen and isinstance(checkpoint, Mapping):
        replaced["checkpoint_config"] = {**checkpoint, **chosen["checkpoint_config"]}
    if "scheduler" in chosen and "scheduler_config" not in chosen:
        replaced.pop("scheduler_config", None)  # it is the other scheduler's
    return replaced


def _environment(above: str | None, in_config: Any) -> str:
    if above is not None and in_config is not None and above != in_config:
        raise InputError(f"config.env: expected {above!r} as in env, found {in_config!r}")
    return _one_of("env", above or in_config, ENVIRONMENTS)


def _one_of(place: str, value: Any, legal: tuple[str, ...]) -> str:
    if value is None:
        raise InputError(f"{place}: expected one of {', '.join(legal)}, found nothing")
    if value not in legal:
        raise unknown_name(place, value, legal)
    return value


def _check_env_configs(config: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Checks ``env_config`` in every variant.

    Returns:
        The names of all tasks, and of those that are evaluated while training.
    """
    tasks: dict[str, None] = {}
    for variant in variants({"env_config": config.get("env_config") or {}}, "config"):
        settings = read_config(EnvSettings, variant["env_config"], "config.env_config")
        tasks.update(dict.fromkeys(task.name for task in settings.parsed_tasks))
    changes = config.get("evaluation_config")
    other = changes.get("env_config") if isinstance(changes, Mapping) else None
    evaluated = tuple(tasks)
    if isinstance(other, Mapping) and "tasks" in other:
        with located("config.evaluation_config"):
            other = read_config(EnvSettings, {"tasks": other["tasks"]}, "env_config")
        evaluated = tuple(task.name for task in other.parsed_tasks)
    return tuple(tasks), evaluated if config.get("evaluation_interval") else ()


def _shortened(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
