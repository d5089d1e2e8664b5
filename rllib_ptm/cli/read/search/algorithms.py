"""What draws the trials of a search: the names, and the settings of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from rllib_ptm.checks.errors import InputError, Problems, unknown_name
from rllib_ptm.checks.extras import check_installed
from rllib_ptm.checks.settings import Settings, one_of, read_settings
from rllib_ptm.cli.read.result_keys import ResultKey, unknown_result_key
from rllib_ptm.cli.read.search.schedulers import FifoSettings, PbtSettings, SchedulerSettings
from rllib_ptm.cli.read.search.spaces import GRID, SPACES, spaces_of
from rllib_ptm.tasks.metrics import WIN_RATE_MEAN_PATH


class RandomSettings(Settings):
    """Each point of the grids, and random draws of the distributions."""


class OptunaSettings(Settings):
    """Optuna's tree-structured Parzen estimator: it draws where earlier trials were good."""

    metric: str = Field(
        WIN_RATE_MEAN_PATH,
        description="the result key whose last value says how good a trial is; default: the "
        "scheduler's metric",
    )
    mode: Annotated[str, one_of(("max", "min"))] = Field(
        "max", description="whether the largest or the smallest value is best"
    )
    n_startup_trials: int = Field(
        10, ge=1, description="trials that are drawn at random before the estimator is used"
    )


SearchSettings = RandomSettings | OptunaSettings

RANDOM, OPTUNA = "random", "optuna"
SEARCH_ALGORITHMS: dict[str, type[SearchSettings]] = {
    RANDOM: RandomSettings,
    OPTUNA: OptunaSettings,
}
# The names that Ray Tune uses.
_FORMER_NAMES = {
    "variant_generator": RANDOM,
    "BasicVariantGenerator": RANDOM,
    "OptunaSearch": OPTUNA,
}


def search_algorithm_name(place: str, name: str) -> str:
    """Returns a name in ``SEARCH_ALGORITHMS``.

    Args:
        place: Where it stands, for messages.
        name: As the user wrote it.

    Raises:
        InputError: There is no such algorithm, or its package is missing.
    """
    known = _FORMER_NAMES.get(name, name)
    if known not in SEARCH_ALGORITHMS:
        raise unknown_name(place, name, SEARCH_ALGORITHMS, also=_FORMER_NAMES)
    if known == OPTUNA:
        check_installed(OPTUNA, place)
    return known


def read_search(name: str, written: Any, place: str, scheduler: SchedulerSettings) -> Any:
    """Reads the settings of a search algorithm.

    Args:
        name: Its name in ``SEARCH_ALGORITHMS``.
        written: What the user wrote; None = nothing.
        place: Where it stands, for messages.
        scheduler: The scheduler's settings, whose metric is the default.

    Raises:
        InputError: A line for each unknown key or wrong value.
    """
    kind = SEARCH_ALGORITHMS[name]
    written = {} if written is None else written
    if not isinstance(written, Mapping):
        return read_settings(kind, written, place)
    if kind is RandomSettings:
        for key in written:
            raise InputError(f"{place}.{key}: it changes nothing with search_alg: {RANDOM}")
    elif not isinstance(scheduler, FifoSettings):
        written = {"metric": scheduler.metric, "mode": scheduler.mode, **written}
    return read_settings(kind, written, place)


def check_search(
    settings: SearchSettings,
    config: Mapping[str, Any],
    scheduler: SchedulerSettings,
    num_samples: int,
    results: Mapping[str, ResultKey],
) -> None:
    """Checks that a search algorithm can search an experiment.

    Args:
        settings: Its settings.
        config: The experiment's config, with its spaces.
        scheduler: The scheduler's settings.
        num_samples: The number of trials.
        results: The result keys of the run.

    Raises:
        InputError: A line for each thing that does not fit.
    """
    if not isinstance(settings, OptunaSettings):
        return
    place = f"search_alg: {OPTUNA}"
    problems = Problems()
    spaces = spaces_of(config)
    for key, space in spaces.items():
        with problems.collect():
            _check_space(f"config.{key}", space)
    with problems.collect():
        if not spaces:
            raise InputError(f"{place}: expected a distribution in the config, found none")
    with problems.collect():
        if isinstance(scheduler, PbtSettings):
            raise InputError(
                f"{place}: the scheduler pbt changes the values itself; use fifo or asha, or leave "
                f"search_alg out"
            )
    with problems.collect():
        if num_samples <= settings.n_startup_trials:
            raise InputError(
                f"{place}: the first {settings.n_startup_trials} trials are drawn at random "
                f"(search_config.n_startup_trials), and num_samples is {num_samples}, so nothing "
                f"would be learnt from any trial"
            )
    with problems.collect():
        if settings.metric not in results:
            raise unknown_result_key("search_config.metric", settings.metric, list(results))
    problems.raise_if_any()


def _check_space(place: str, name: str) -> None:
    """Checks that Optuna draws from a space."""
    space = SPACES[name]
    if name == GRID:
        raise InputError(
            f"{place}.{name}: {OPTUNA} draws each value itself; write choice, or leave search_alg "
            f"out"
        )
    if not space.optuna:
        legal = ", ".join(known for known, row in SPACES.items() if row.optuna)
        raise InputError(f"{place}.{name}: {OPTUNA} does not draw from it; legal: {legal}")
