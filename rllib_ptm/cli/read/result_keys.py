"""The result keys of a training run, and the stop conditions that compare them.

Tune compares any key with what an iteration reports, and never ends a run whose key is not
reported. So a stop key must stand in the table ``RESULT_KEYS``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from rllib_ptm.checks.errors import InputError, Problems, unknown_name
from rllib_ptm.checks.settings import check_value
from rllib_ptm.tasks import metrics

_LARGEST_COUNT = 1e12
_MOST_LISTED = 64  # keys in a message


@dataclass(frozen=True)
class ResultKey:
    """A row of the table.

    Attributes:
        grows: It rises with every iteration, so the time until it is reached can be estimated.
        at_most: The largest value that it can reach; a larger one would never end the run.
    """

    grows: bool
    at_most: float


_COUNT = ResultKey(grows=True, at_most=_LARGEST_COUNT)
_RATE = ResultKey(grows=False, at_most=1.0)
_MEAN = ResultKey(grows=False, at_most=_LARGEST_COUNT)
_RATES = (
    f"/{metrics.WIN_RATE}",
    f"/{metrics.TRUNCATED_SHARE}/",
    f"{metrics.PRIORITIES}/",
    f"{metrics.SCHEDULES}/",
)


def _row(path: str) -> ResultKey:
    if path.endswith("_lifetime"):
        return _COUNT
    return _RATE if any(part in path for part in _RATES) else _MEAN


RESULT_KEYS: dict[str, ResultKey] = {
    "training_iteration": _COUNT,
    "time_total_s": _COUNT,
    metrics.ENV_STEPS: _COUNT,
    **{path: _row(path) for path in metrics.METRICS},
}


def reported_keys(tasks: Iterable[str], evaluated: Iterable[str]) -> dict[str, ResultKey]:
    """The result keys of a run.

    Args:
        tasks: Names of the tasks that are trained.
        evaluated: Names of the tasks that are evaluated while training; none if it does not
            evaluate, and then it reports no evaluation keys.
    """
    trained, played = tuple(tasks), tuple(evaluated)
    return {
        key: row
        for path, row in RESULT_KEYS.items()
        for key in metrics.metric_paths(path, trained, played)
    }


def unknown_result_key(place: str, key: str, legal: Collection[str]) -> InputError:
    """Builds the error for a key that a run does not report.

    Args:
        place: Where the key stands.
        key: The key.
        legal: The legal keys.
    """
    return unknown_name(place, key, _listed(legal), legal)


def _listed(keys: Collection[str]) -> set[str]:
    """The keys, for a message. Of many, those of tasks stand once, with ``<task>`` for the name."""
    if len(keys) <= _MOST_LISTED:
        return set(keys)
    of_tasks = [path.removesuffix(metrics.TASK) for path in metrics.METRICS if metrics.TASK in path]
    starts = {key: start for key in keys for start in of_tasks if key.startswith(start)}
    return {f"{starts[key]}{metrics.TASK}" if key in starts else key for key in keys}


def check_stop(stop: Any, results: Mapping[str, ResultKey], place: str) -> dict[str, float]:
    """Returns the stop conditions as numbers.

    Args:
        stop: What the user wrote.
        results: The result keys of the run.
        place: Where it stands, for messages.

    Raises:
        InputError: No condition, or a line for each key that is not reported and each value that
            is never reached.
    """
    if not isinstance(stop, Mapping) or not stop:
        raise InputError(
            f"{place}: expected a mapping of at least one of {', '.join(sorted(_listed(results)))} "
            f"to a number, found {stop!r}"
        )
    problems = Problems()
    checked = {}
    for key, value in stop.items():
        with problems.collect():
            if key not in results:
                raise unknown_result_key(f"{place}.{key}", key, results)
            number = Annotated[float, Field(gt=0, le=results[key].at_most)]
            checked[key] = check_value(f"{place}.{key}", value, number)
    problems.raise_if_any()
    return checked
