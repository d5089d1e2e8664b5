"""What runs of one group have in common, with intervals.

Two statistics: the median over runs with the range from 25 to 75 %, as in the paper; and the
interquartile mean (IQM) over runs and tasks with a 95 % interval by bootstrap (Agarwal et al.,
"Deep Reinforcement Learning at the Edge of the Statistical Precipice", 2021).

Agarwal et al. draw the runs of each task on their own, because each of their runs learns one task.
Here one run learns all tasks, and its results rise and fall together. So the bootstrap draws whole
runs: drawn task by task, the intervals would be too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rllib_ptm.checks.errors import InputError
from rllib_ptm.results.rliable_library import fixed_draws, rliable
from rllib_ptm.results.runs import LAST_EVALUATIONS, Run
from rllib_ptm.results.trials import OF_TASK
from rllib_ptm.tasks.metrics import WIN_RATE_MEAN

MEDIAN, IQM = "median", "iqm"
STATISTICS = (MEDIAN, IQM)
_REPEATS = 2000  # of the bootstrap; more change the ends of an interval by less than 0.01
_TRIMMED = 0.25  # at each end
_LEAST_RUNS = 2  # an interval over runs needs


@dataclass(frozen=True)
class Estimate:
    """A statistic and its range.

    Attributes:
        value: The statistic; NaN without data. A float, or an array over points.
        low: The lower end of the range; NaN if there are too few runs for one.
        high: The upper end.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def columns_of(runs: Sequence[Run], metric: str) -> list[str]:
    """What a score matrix has a column for.

    The mean win rate stands for those of the tasks, so that the runs of each task are one stratum.
    Any other metric is one column.

    Raises:
        InputError: The runs were evaluated on different tasks.
    """
    if metric != WIN_RATE_MEAN:
        return [metric]
    found = {run.tasks for run in runs if run.tasks}
    if len(found) > 1:
        one, other = sorted(found)[:2]
        raise InputError(
            f"the runs were evaluated on different tasks ({', '.join(one)}; {', '.join(other)}), "
            f"so they cannot be summarised together; choose one of them: --metric {OF_TASK}TASK"
        )
    return [f"{OF_TASK}{task}" for tasks in found for task in tasks]


def final_scores(runs: Sequence[Run], metric: str = WIN_RATE_MEAN) -> np.ndarray:
    """The last values of a metric: the mean over the last three evaluations of each run.

    Args:
        runs: Runs of one group.
        metric: See ``Run.values``. For ``win_rate_mean`` there is a column per task.

    Returns:
        [runs, columns], without runs that have no value.
    """
    columns = columns_of(runs, metric)
    scores = np.array([[_last(run, column) for column in columns] for run in runs])
    if not scores.size:
        return np.empty((0, max(len(columns), 1)))
    return scores[~np.isnan(scores).any(axis=1)]


def _last(run: Run, column: str) -> float:
    if column in run.curve:
        return run.final_value(column)
    if column.startswith(OF_TASK):
        return float("nan")
    return float(run.values(column)["value"].tail(LAST_EVALUATIONS).mean())


def median(values: np.ndarray) -> Estimate:
    """The median over runs, and the range from 25 to 75 %, which one run alone does not have.

    Args:
        values: [runs, ...].
    """
    if not len(values):
        return _nothing(values.shape[1:])
    low, middle, high = np.percentile(values, [25, 50, 75], axis=0)
    if len(values) == 1:
        low, high = low * np.nan, high * np.nan
    return Estimate(middle, low, high)


def iqm(scores: np.ndarray) -> Estimate:
    """The interquartile mean over runs and tasks, and its 95 % interval.

    Args:
        scores: [runs, tasks] or [runs, tasks, points].

    Raises:
        InputError: rliable is not installed.
    """
    if not len(scores):
        return _nothing(scores.shape[2:])
    value = _trimmed_mean(scores)
    if len(scores) < _LEAST_RUNS:
        return Estimate(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    library = rliable()
    with fixed_draws():
        _, intervals = library.get_interval_estimates(
            {"": _runs_to_draw(scores)},
            lambda drawn: np.atleast_1d(_trimmed_mean(_drawn(scores, drawn))),
            reps=_REPEATS,
        )
    low, high = (end.reshape(value.shape) for end in intervals[""])
    return Estimate(value, low, high)


def _runs_to_draw(scores: np.ndarray) -> np.ndarray:
    """[runs, 1], the indices of the runs: what rliable draws from in place of their scores."""
    return np.arange(len(scores))[:, None]


def _drawn(scores: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """The scores of the drawn runs [runs, 1]."""
    return np.asarray(scores[runs[:, 0]])


def _trimmed_mean(scores: np.ndarray) -> np.ndarray:
    """The same as ``aggregate_iqm`` of rliable, for all points at once."""
    joined = scores.reshape(scores.shape[0] * scores.shape[1], *scores.shape[2:])
    cut = int(_TRIMMED * len(joined))
    return np.asarray(np.sort(joined, axis=0)[cut : len(joined) - cut].mean(axis=0))


def estimate(scores: np.ndarray, statistic: str) -> Estimate:
    """One of ``STATISTICS`` of a score matrix.

    Args:
        scores: [runs, columns] or [runs, columns, points]. The median is that of the runs' means
            over columns.
        statistic: ``median`` or ``iqm``.
    """
    return iqm(scores) if statistic == IQM else median(scores.mean(axis=1))


def probability_of_improvement(scores: np.ndarray, others: np.ndarray) -> Estimate:
    """How probable it is that a run of one group beats a run of another, mean over tasks.

    Equal scores count half. It is rliable's ``probability_of_improvement``, computed for all tasks
    at once.

    Args:
        scores: [runs, tasks] of one group.
        others: [runs, tasks] of the other group.

    Raises:
        InputError: rliable is not installed.
    """
    if min(len(scores), len(others)) < 1:
        return _nothing(())
    value = np.asarray(_share_better(scores, others))
    if min(len(scores), len(others)) < _LEAST_RUNS:
        return Estimate(value, np.array(np.nan), np.array(np.nan))
    library = rliable()
    with fixed_draws():
        _, intervals = library.get_interval_estimates(
            {"": [_runs_to_draw(scores), _runs_to_draw(others)]},
            lambda one, other: np.atleast_1d(
                _share_better(_drawn(scores, one), _drawn(others, other))
            ),
            reps=_REPEATS,
        )
    low, high = intervals[""][:, 0]
    return Estimate(value, np.asarray(low), np.asarray(high))


def _share_better(scores: np.ndarray, others: np.ndarray) -> float:
    better = scores[:, None] > others[None]
    equal = scores[:, None] == others[None]
    return float(np.mean(better + 0.5 * equal))


def performance_profiles(
    scores: Mapping[str, np.ndarray], thresholds: np.ndarray
) -> dict[str, Estimate]:
    """The share of runs and tasks whose score is above each threshold, with 95 % intervals.

    Args:
        scores: [runs, tasks] of each group.
        thresholds: [points].

    Raises:
        InputError: rliable is not installed.
    """
    library, found = rliable(), {}
    for name, of_group in scores.items():
        with fixed_draws():
            values, intervals = library.create_performance_profile(
                {"": _runs_to_draw(of_group)},
                thresholds,
                custom_profile_func=lambda drawn, points, own=of_group: _shares_above(
                    _drawn(own, drawn), points
                ),
                reps=_REPEATS,
            )
        found[name] = Estimate(values[""], *intervals[""])
    return found


def _shares_above(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """[points]; as rliable's own function, which takes one threshold at a time."""
    ordered = np.sort(scores, axis=None)
    return 1 - np.searchsorted(ordered, thresholds, side="right") / ordered.size


def _nothing(shape: tuple[int, ...]) -> Estimate:
    empty = np.full(shape, np.nan)
    return Estimate(empty, empty, empty)
