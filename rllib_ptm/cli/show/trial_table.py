"""The trials of a search, the best first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.search.algorithms import RANDOM, OptunaSettings
from rllib_ptm.cli.read.search.sample_seeds import SEED
from rllib_ptm.cli.read.search.schedulers import FifoSettings, PbtSettings
from rllib_ptm.cli.read.search.spaces import searched_keys
from rllib_ptm.cli.show.trial_names import trial_number
from rllib_ptm.results.flat import flatten
from rllib_ptm.results.trial_files import last_number
from rllib_ptm.results.trials import load_trial
from rllib_ptm.tasks.metrics import WIN_RATE_MEAN_PATH

if TYPE_CHECKING:
    from ray.tune import Result


def trials_compete(experiment: Experiment) -> bool:
    """Whether only the best trial matters. In a plain grid, over seeds say, each one does."""
    plain = isinstance(experiment.scheduler_settings, FifoSettings)
    return not plain or experiment.search_alg != RANDOM


def best_first(experiment: Experiment, results: Sequence[Result]) -> list[Result]:
    """The results, sorted by the last value of the metric that ranks them; failed ones last."""
    metric, mode = _ranked_by(experiment)
    sign = 1 if mode == "min" else -1

    def rank(result: Result) -> tuple[bool, float]:
        score = _number(result, metric)
        return (result.error is not None or score is None, sign * (score or 0.0))

    return sorted(results, key=rank)


def trial_table(experiment: Experiment, results: Sequence[Result]) -> Table:
    """A row per trial: its number, its settings, its iterations, and its metric.

    In a grid over seeds, trials that differ in the seed alone stand together, and a row below them
    has their median and the range from 25 to 75 %.
    """
    metric, _ = _ranked_by(experiment)
    keys = _shown_keys(experiment)
    table = Table(
        title=f"{experiment.name}: {len(results)} trials", title_justify="left", title_style="bold"
    )
    groups = _groups(experiment, results, keys)
    noted = any(len(group) > 1 for group in groups) or any(one.error for one in results)
    for name in ("trial", *keys, "iterations", metric, *["note"] * noted):
        table.add_column(name, justify="right", overflow="fold")
    for group in groups:
        for result in group:
            table.add_row(*_cells(result, keys, metric)[: len(table.columns)])
        if len(group) > 1:
            table.add_row(*_summary(group, keys, metric), style="bold")
            table.add_section()
    return table


def _cells(result: Result, keys: Sequence[str], metric: str) -> list[str]:
    """The cells of a trial's row."""
    used, score = _settings(result), _number(result, metric)
    iterations = _number(result, "training_iteration")
    return [
        trial_number(result),
        *(_text(used.get(key)) for key in keys),
        "-" if iterations is None else f"{iterations:.0f}",
        "-" if score is None else f"{score:.3f}",
        "failed" if result.error is not None else "",
    ]


def _settings(result: Result) -> dict[str, Any]:
    """A trial's settings, flat. Where it has no result yet, its folder has them."""
    return flatten(dict(result.config or load_trial(Path(result.path)).written))


def _shown_keys(experiment: Experiment) -> list[str]:
    config, _ = experiment.samples()
    keys = searched_keys(config)
    if experiment.search_alg != RANDOM and config.get(SEED) is not None:
        keys.append(SEED)
    if isinstance(experiment.scheduler_settings, PbtSettings):
        keys += [k for k in experiment.scheduler_settings.mutated() if k not in keys]
    return keys


def _groups(
    experiment: Experiment, results: Sequence[Result], keys: Sequence[str]
) -> list[list[Result]]:
    """The trials whose settings are equal but for the seed; each alone if trials compete."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for number, result in enumerate(results):
        used = _settings(result) if SEED in keys else {}
        values = tuple(_text(used.get(key)) for key in keys if key != SEED)
        alone = trials_compete(experiment) or SEED not in keys
        groups.setdefault((str(number),) if alone else values, []).append(result)
    return list(groups.values())


def _summary(group: Sequence[Result], keys: Sequence[str], metric: str) -> list[str]:
    """The cells of the row below a group's trials."""
    scores = [_number(result, metric) for result in group if result.error is None]
    known = [score for score in scores if score is not None]
    used = _settings(group[0])
    cells = [_seeds_text(len(known)) if key == SEED else _text(used.get(key)) for key in keys]
    if not known:
        return ["", *cells, "", "-", ""]
    low, median, high = np.percentile(known, [25, 50, 75])
    return ["", *cells, "median", f"{median:.3f}", f"25-75 %: {low:.3f}-{high:.3f}"]


def _ranked_by(experiment: Experiment) -> tuple[str, str]:
    search, settings = experiment.search_settings, experiment.scheduler_settings
    if isinstance(search, OptunaSettings):
        return search.metric, search.mode
    if isinstance(settings, FifoSettings):
        return WIN_RATE_MEAN_PATH, "max"
    return settings.metric, settings.mode


def _number(result: Result, key: str) -> float | None:
    latest = flatten(result.metrics or {})
    return last_number(Path(result.path), latest, key)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _seeds_text(number: int) -> str:
    return "1 seed" if number == 1 else f"{number} seeds"
