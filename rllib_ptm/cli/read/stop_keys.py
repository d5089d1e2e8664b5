"""The result keys that can end a training run.

Tune compares whatever key it is given with what an iteration reports, and trains on for ever if
that key never comes. So a stop key must stand in this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from envs.errors import InputError, unknown_name
from envs.settings import check_value

_LARGEST_COUNT = 1e12


@dataclass(frozen=True)
class StopKey:
    """What is known of a result key.

    Attributes:
        grows: It rises with every iteration, so the time until it is reached can be estimated.
        at_most: The largest value that it can reach; a larger one would never end the run.
    """

    grows: bool
    at_most: float


_COUNT = StopKey(grows=True, at_most=_LARGEST_COUNT)
_RATE = StopKey(grows=False, at_most=1.0)
_MEAN = StopKey(grows=False, at_most=_LARGEST_COUNT)

# "<task>" stands for the name of each task that is trained.
STOP_KEYS: dict[str, StopKey] = {
    "training_iteration": _COUNT,
    "time_total_s": _COUNT,
    "num_env_steps_sampled_lifetime": _COUNT,
    "env_runners/num_env_steps_sampled_lifetime": _COUNT,
    "env_runners/num_episodes_lifetime": _COUNT,
    "env_runners/episode_return_mean": _MEAN,
    "env_runners/episode_len_mean": _MEAN,
    "env_runners/win_rate_mean": _RATE,
    "env_runners/win_rate/<task>": _RATE,
    "evaluation/env_runners/win_rate_mean": _RATE,
    "evaluation/env_runners/win_rate/<task>": _RATE,
}


def legal_stop_keys(tasks: Iterable[str], evaluated: Iterable[str]) -> dict[str, StopKey]:
    """The stop keys of a run.

    Args:
        tasks: Names of the tasks that are trained.
        evaluated: Names of the tasks that are evaluated while training; none of them where it does
            not evaluate, which is what reports evaluation keys.
    """
    played = {True: tuple(evaluated), False: tuple(tasks)}
    legal = {}
    for key, row in STOP_KEYS.items():
        names = played[key.startswith("evaluation/")]
        for name in names if "<task>" in key else names[:1]:
            legal[key.replace("<task>", name)] = row
    return legal


def check_stop(
    stop: Any, tasks: Iterable[str], evaluated: Iterable[str], *, place: str
) -> dict[str, float]:
    """Returns the stop conditions as numbers.

    Args:
        stop: What the user wrote.
        tasks: Names of the tasks that are trained.
        evaluated: Names of the tasks that are evaluated while training.
        place: Where it stands, for messages.

    Raises:
        InputError: No condition, a key that never appears, or a value that is never reached.
    """
    legal = legal_stop_keys(tasks, evaluated)
    if not isinstance(stop, Mapping) or not stop:
        raise InputError(
            f"{place}: expected a mapping of at least one of {', '.join(sorted(legal))} "
            f"to a number, found {stop!r}"
        )
    checked = {}
    for key, value in stop.items():
        if key not in legal:
            raise unknown_name(f"{place}.{key}", key, legal)
        limits = {"one_of": None, "at_least": None, "above": 0, "at_most": legal[key].at_most}
        checked[key] = check_value(f"{place}.{key}", value, float, limits)
    return checked
