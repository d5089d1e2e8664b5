"""A search whose trials Optuna draws, by Ray Tune's ``OptunaSearch``.

Tune's own generator of such trials gives them random names and one seed for all. It fails at a
result without the metric. Here trials are numbered and seeded like those of a random search, only
results that report the metric count, and a resumed search is told what its trials have found.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from ray.tune import Experiment as TuneExperiment
from ray.tune.experiment import Trial
from ray.tune.result import TRAINING_ITERATION
from ray.tune.search import SearchAlgorithm
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.variant_generator import format_vars

from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.search.algorithms import OptunaSettings
from rllib_ptm.cli.read.search.sample_seeds import SEED, sample_seed
from rllib_ptm.cli.read.search.spaces import searched_keys, tune_space
from rllib_ptm.results.flat import flatten, number_in

_PREFIX_BYTES = 3  # of the random part of the trials' names, as in Tune


class OptunaTrials(SearchAlgorithm):
    """Makes the trials of an experiment one after the other, as Optuna draws them.

    Args:
        experiment: What is trained; its ``search_settings`` are those of Optuna.
        begun: The configs of the trials that an earlier part of the run has begun, by their names.
        found: The last value of the metric of each of these that has ended; None = it has none.
    """

    def __init__(
        self,
        experiment: Experiment,
        begun: Mapping[str, Mapping[str, Any]] | None = None,
        found: Mapping[str, float | None] | None = None,
    ) -> None:
        settings = experiment.search_settings
        assert isinstance(settings, OptunaSettings)
        begun, found = begun or {}, found or {}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._experiment = experiment
        self._prefix = next(iter(begun), secrets.token_hex(_PREFIX_BYTES)[:5] + "_")[:6]
        self._count = 1 + max((int(name[-5:]) for name in begun), default=-1)
        self._running: set[str] = set()
        self._last: dict[str, float] = {}
        self._spec: dict[str, Any] = {}
        # A resumed search must not draw again what the earlier part has drawn.
        seed = experiment.config.get(SEED)
        drawing = sample_seed(seed, self._count) if isinstance(seed, int) else None
        left = [name for name in begun if name not in found]
        points = {name: _point(experiment, config) for name, config in begun.items()}
        self._search = OptunaSearch(
            metric=settings.metric,
            mode=settings.mode,
            points_to_evaluate=[points[name] for name in left],
            sampler=optuna.samplers.TPESampler(
                seed=drawing, n_startup_trials=settings.n_startup_trials
            ),
        )
        with warnings.catch_warnings():
            # Optuna warns that no database could hold choices that are lists. It uses none here.
            warnings.filterwarnings("ignore", "Choices for a categorical distribution", UserWarning)
            self._search.set_search_properties(None, None, tune_space(experiment.config))
        for name in left:
            self._search.suggest(name)  # it draws these points
            self._running.add(name)
        for name, value in found.items():
            if value is not None:
                self._search.add_evaluated_point(points[name], value)

    @property
    def metric(self) -> str:
        """The metric that says how good a trial is."""
        return str(self._search.metric)

    @property
    def total_samples(self) -> int:
        """The number of trials."""
        return self._experiment.num_samples

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict, **spec: Any
    ) -> bool:
        """Called by Tune with the spaces, which are known already."""
        return True

    def add_configurations(self, experiments: Any) -> None:
        """Called by Tune with what each trial has in common."""
        (experiment,) = experiments if isinstance(experiments, Sequence) else [experiments]
        assert isinstance(experiment, TuneExperiment)
        self._spec = experiment.spec

    def is_finished(self) -> bool:
        """Whether the last trial has been made."""
        return bool(super().is_finished()) or self._count >= self.total_samples

    def next_trial(self) -> Trial | None:
        """Called by Tune for the next trial; None = there is none now."""
        most = self._experiment.max_concurrent_trials
        if self.is_finished() or (most is not None and len(self._running) >= most):
            return None
        name = f"{self._prefix}{self._count:05}"
        drawn = self._search.suggest(name)
        seed = self._experiment.config.get(SEED)
        if isinstance(seed, int):
            drawn = {**drawn, SEED: sample_seed(seed, self._count)}
        values = flatten(drawn)
        trial = Trial(
            self._experiment.algorithm,
            config=_filled(tune_space(self._experiment.config), drawn),
            trial_id=name,
            storage=self._spec["storage"],
            evaluated_params=values,
            experiment_tag=f"{self._count}_{format_vars({(key,): values[key] for key in values})}",
            stopping_criterion=self._spec["stop"],
            checkpoint_config=self._spec["checkpoint_config"],
            max_failures=self._experiment.max_failures,
        )
        self._count += 1
        self._running.add(name)
        return trial

    def on_trial_result(self, trial_id: str, result: dict) -> None:
        """Called by Tune after each iteration of a trial, with a flat result."""
        number = number_in(result, self.metric)
        if number is not None and trial_id in self._running:
            self._last[trial_id] = number
            reported = {self.metric: number, TRAINING_ITERATION: result[TRAINING_ITERATION]}
            self._search.on_trial_result(trial_id, reported)

    def on_trial_complete(
        self, trial_id: str, result: dict | None = None, error: bool = False
    ) -> None:
        """Called by Tune when a trial has ended; its last value of the metric counts."""
        if trial_id not in self._running:
            return
        self._running.remove(trial_id)
        number = number_in(result or {}, self.metric)
        last = self._last.get(trial_id) if number is None else number
        known = None if error or last is None else {self.metric: last}
        self._search.on_trial_complete(trial_id, known, error)

    def has_checkpoint(self, dirpath: str) -> bool:
        """Tune stores nothing of it: ``--resume`` makes it anew from the trials' results."""
        return False

    def save_to_dir(self, dirpath: str, **kwargs: Any) -> None:
        """Called by Tune now and then; see ``has_checkpoint``."""


def _point(experiment: Experiment, config: Mapping[str, Any]) -> dict[str, Any]:
    """The searched values of a trial, by their flat keys. A value may itself be a mapping."""
    return {key: _value_at(config, key.split("/")) for key in searched_keys(experiment.config)}


def _value_at(config: Any, path: Sequence[str]) -> Any:
    for key in path:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def _filled(config: Mapping[str, Any], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """A config with what was drawn in place of its spaces."""
    filled = dict(config)
    for key, value in drawn.items():
        inner = config.get(key)
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            filled[key] = _filled(inner, value)
        else:
            filled[key] = value
    return filled
