"""Search spaces of Ray Tune as values of a config in Python: what Tune may put in their place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

from ray.tune.search.sample import Categorical, Domain, Float, Integer, Quantized

from rllib_ptm.checks.errors import InputError, shown

GRID = "grid_search"
# At most so many combinations of the spaces in one value are checked.
_MOST_COMBINATIONS = 256


def is_space(value: Any) -> bool:
    """Whether a value is a grid or a distribution of Tune."""
    return isinstance(value, Domain) or (isinstance(value, dict) and GRID in value)


def has_space(value: Any) -> bool:
    """Whether there is a space in a value, at any depth of its dicts and lists."""
    return is_space(value) or any(has_space(inner) for _, inner in _items(value))


def candidates(place: str, value: Any) -> Iterator[Any]:
    """Yields what Tune may put in the place of a value, as far as it can be told beforehand.

    For a grid and ``tune.choice`` each value, for a range both ends, for a normal distribution its
    mean, for a function nothing.

    Args:
        place: Where the value stands, for messages.
        value: A value of a config; one without a space stands for itself.

    Raises:
        InputError: A grid is not a list, or an empty one.
    """
    if is_space(value):
        yield from _ends(place, value)
    elif not has_space(value):
        yield value
    else:
        items = _items(value)
        choices = [list(candidates(f"{place}.{key}", inner)) for key, inner in items]
        if math.prod(map(len, choices)) <= _MOST_COMBINATIONS:
            rows: Iterator[Any] = product(*choices)
        else:  # each of them at least once
            rows = (tuple(c[i % len(c)] for c in choices) for i in range(max(map(len, choices))))
        for row in rows:
            filled = {key: chosen for (key, _), chosen in zip(items, row, strict=True)}
            yield filled if isinstance(value, dict) else type(value)(filled.values())


def _items(value: Any) -> list[tuple[Any, Any]]:
    """The parts of a dict or a list, with their keys."""
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if type(value) in (list, tuple) else []


def _ends(place: str, space: Any) -> list[Any]:
    """The values of a space that have to be legal."""
    if isinstance(space, dict):
        values = space[GRID]
        if len(space) > 1 or not isinstance(values, (list, tuple)) or not values:
            raise InputError(
                f"{place}: expected {{{GRID!r}: [a value, ...]}} and no other key, found "
                f"{shown(space)}"
            )
        return list(values)
    if isinstance(space, Categorical):
        return list(space.categories)
    if not isinstance(space, (Float, Integer)):
        return []  # a function
    if not math.isfinite(space.lower) or not math.isfinite(space.upper):
        sampler = space.get_sampler()  # a normal distribution has no ends
        normal = sampler.get_sampler() if isinstance(sampler, Quantized) else sampler
        return [float(normal.mean)]
    if isinstance(space, Float):
        return [float(space.lower), float(space.upper)]
    return [space.lower, space.upper - (0 if isinstance(space.sampler, Quantized) else 1)]
