"""Schedules of a rate, as RLlib takes them: ``[[0, 1e-3], [100000, 1e-4], ...]``."""

from __future__ import annotations

from typing import Any

from rllib_ptm.checks.errors import InputError, Problems, shown
from rllib_ptm.checks.settings import check_value

_FORM = "[[0, rate], [steps, rate], ...]"


def check_schedule(place: str, schedule: list[Any] | tuple[Any, ...], rate: Any, step: Any) -> None:
    """Checks a schedule: each of its rates as a single one, and that its steps grow from 0.

    Args:
        place: Where it stands, for messages.
        schedule: What the user wrote.
        rate: The type of a rate, as ``check_value`` takes it.
        step: The type of a number of steps.

    Raises:
        InputError: A line for each thing that is wrong.
    """
    if len(schedule) < 2:
        raise InputError(f"{place}: expected at least two pairs, {_FORM}, found {shown(schedule)}")
    problems = Problems()
    before: Any = None
    for number, point in enumerate(schedule):
        here = f"{place}[{number}]"
        with problems.collect():
            if not isinstance(point, (list, tuple)) or len(point) != 2:
                raise InputError(f"{here}: expected a pair as in {_FORM}, found {shown(point)}")
            with problems.collect():
                check_value(f"{here}[1]", point[1], rate)
            check_value(f"{here}[0]", point[0], step)
            if number == 0 and point[0] != 0:
                raise InputError(f"{here}[0]: expected 0, the first step, found {point[0]!r}")
            if before is not None and point[0] <= before:
                raise InputError(
                    f"{here}[0]: expected more steps than {before!r}, those of the pair before, "
                    f"found {point[0]!r}"
                )
            before = point[0]
    problems.raise_if_any()
