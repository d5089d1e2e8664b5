"""Runs as a typed table: one run is one variant of an experiment, trained with one seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllib_ptm.checks.errors import InputError, unknown_name
from rllib_ptm.results.flat import number_in
from rllib_ptm.results.settings import grid_text
from rllib_ptm.results.trials import ENV_STEPS, OF_TASK, PROGRESS, load_trial
from rllib_ptm.tasks.metrics import WIN_RATE_MEAN

if TYPE_CHECKING:
    import pandas as pd

BY_METHOD, BY_VARIANT = "method", "variant"

# A run's final win rate is the mean of so many evaluations, its last ones. One alone is noisy.
LAST_EVALUATIONS = 3


@dataclass(frozen=True, eq=False)
class Run:
    """One variant of an experiment, trained with one seed.

    Attributes:
        experiment: The experiment's name, without the variant.
        variant: The name of the entry in the experiment's file, or the method if it has no name
            of its own, and the grid's values: ``ptm mining_lambda=0.3``.
        method: A key of ``METHODS``, or the algorithm's name if it has no methods.
        seed: None if the experiment set none.
        grid: The values of the keys that the experiment searched, the seed's apart.
        settings: A hash of all settings that change what is learnt, the seed's apart.
        finished: It reached its stop condition.
        curve: A row per evaluation: the columns ``PROGRESS``, ``win_rate_mean``, and
            ``win_rate/<task>`` for each task. A value that is not known is NaN.
        final: A record per task of the greedy episodes after training; empty if none were played.
        folder: The trial's folder; None if the run comes from a CSV file.
    """

    experiment: str
    variant: str
    method: str
    seed: int | None
    grid: Mapping[str, Any]
    settings: str
    finished: bool
    curve: pd.DataFrame
    final: Sequence[Mapping[str, Any]] = ()
    folder: Path | None = None

    @property
    def name(self) -> str:
        """The run in words, for messages."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.experiment}: {self.variant}{seed}"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that were evaluated."""
        columns = [column for column in self.curve.columns if column.startswith(OF_TASK)]
        return tuple(column.removeprefix(OF_TASK) for column in columns)

    @property
    def env_steps(self) -> float:
        """The environment steps at the last evaluation; 0 without one."""
        return float(self.curve[ENV_STEPS].iloc[-1]) if len(self.curve) else 0.0

    def final_value(self, column: str = WIN_RATE_MEAN) -> float:
        """The mean of a win rate over the last three evaluations; NaN without one."""
        if column not in self.curve:
            return float("nan")
        return float(self.curve[column].dropna().tail(LAST_EVALUATIONS).mean())

    def values(self, metric: str) -> pd.DataFrame:
        """A metric over the run: the columns ``PROGRESS`` and ``value``, rows without it left out.

        Args:
            metric: ``win_rate_mean`` or ``win_rate/<task>``, of the evaluations; or any key of
                the run's results, such as ``learners/default_policy/grad_norm``.

        Raises:
            InputError: The run has no such metric. A run without any evaluation has empty ones.
        """
        of_evaluations = metric == WIN_RATE_MEAN or metric.startswith(OF_TASK)
        if metric in self.curve or (of_evaluations and not len(self.curve)):
            values = self.curve.reindex(columns=[*PROGRESS, metric])
            values = values.rename(columns={metric: "value"})
            return values.dropna(subset="value", ignore_index=True)
        return self._values_of_results(metric)

    def _values_of_results(self, metric: str) -> pd.DataFrame:
        import pandas as pd

        place = f"--metric ({self.name})"
        known = [column for column in self.curve.columns if column not in PROGRESS]
        if self.folder is None:
            error = unknown_name(place, metric, known)
            raise InputError(f"{error}; a CSV file has no others, the run's results folder has")
        trial = load_trial(self.folder)
        found = [
            {**trial.progress(row), "value": value}
            for row in trial.rows
            if (value := number_in(row, metric)) is not None
        ]
        if not found:
            raise unknown_name(place, metric, known, {key for row in trial.rows for key in row})
        return pd.DataFrame(found)


@dataclass(frozen=True)
class Runs:
    """Runs that were read, and what a reader must know of them.

    Attributes:
        runs: In the order of their experiments, variants and seeds as they were found.
        notes: A line for each thing that is damaged, left out or unfinished.
    """

    runs: tuple[Run, ...]
    notes: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def groups(self, by: str = BY_VARIANT) -> dict[str, list[Run]]:
        """The runs by what they have in common.

        Args:
            by: ``method``, ``variant``, or the names of searched keys with commas between them;
                ``method`` may be among these.

        Raises:
            InputError: No run has such a key.
        """
        keys = [key.strip() for key in by.split(",")]
        legal = {BY_METHOD, BY_VARIANT}.union(*(run.grid for run in self.runs))
        for key in keys:
            if key not in legal:
                raise unknown_name("--by", key, legal)
        groups: dict[str, list[Run]] = {}
        for run in self.runs:
            groups.setdefault(" ".join(_part(run, key) for key in keys), []).append(run)
        return groups

    def of(self, experiment: str) -> Runs:
        """The runs of one experiment."""
        return replace(self, runs=tuple(run for run in self.runs if run.experiment == experiment))

    def joined(self) -> Runs:
        """The same runs, as if they were all of one experiment."""
        name = " and ".join(self.experiments)
        return replace(self, runs=tuple(replace(run, experiment=name) for run in self.runs))

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of the experiments, in the order of their runs."""
        return tuple(dict.fromkeys(run.experiment for run in self.runs))


def _part(run: Run, key: str) -> str:
    """A run's part of its group's name."""
    if key == BY_METHOD:
        return run.method
    if key == BY_VARIANT:
        return run.variant
    return grid_text({key: run.grid.get(key)})


def without_repeats(runs: Iterable[Run]) -> Runs:
    """Joins runs from several places, and counts none twice.

    Equal settings and seeds give the same run again. The one that got further stays; of two that
    got equally far, the first. A note says so, unless the two are one folder.
    """
    kept: dict[tuple[Any, ...], Run] = {}
    notes = []
    folders: set[Path] = set()
    for number, run in enumerate(runs):
        key: tuple[Any, ...] = (run.experiment, run.variant, run.settings, run.seed)
        if run.seed is None:
            key = (*key, number)
        if run.folder is not None:
            if (folder := run.folder.resolve()) in folders:
                continue
            folders.add(folder)
        before = kept.get(key)
        if before is None:
            kept[key] = run
            continue
        longest = max(before, run, key=lambda one: (one.finished, one.env_steps))
        shortest = run if longest is before else before
        kept[key] = longest
        notes.append(
            f"{run.name}: found twice; the run of {_place(longest)} counts, that of "
            f"{_place(shortest)} does not"
        )
    return Runs(tuple(kept.values()), tuple(notes))


def _place(run: Run) -> str:
    return f"{run.env_steps:,.0f} steps ({run.folder or 'CSV'})"
