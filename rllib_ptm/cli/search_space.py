"""The variants that a config with ``grid_search`` entries stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from envs.errors import InputError


def variants(config: Mapping[str, Any], place: str) -> Iterator[dict[str, Any]]:
    """Yields each config that Ray Tune would try: one value in place of each ``grid_search``.

    Tune does the real expansion; this one needs no Ray, so that a mistake in the third value of
    a grid is found before anything starts, and not when the first two have been trained.

    Args:
        config: A config with ``{"grid_search": [...]}`` at any depth of its mappings.
        place: Where it stands, for messages.

    Raises:
        InputError: A ``grid_search`` that is not a list of values, or stands beside other keys.
    """
    keys = list(config)
    choices = [list(_choices(config[key], f"{place}.{key}")) for key in keys]
    for values in product(*choices):
        yield dict(zip(keys, values, strict=True))


def _choices(value: Any, place: str) -> Iterator[Any]:
    if not isinstance(value, Mapping):
        yield value
    elif "grid_search" not in value:
        yield from variants(value, place)
    else:
        grid = value["grid_search"]
        if len(value) > 1 or not isinstance(grid, list) or not grid:
            raise InputError(
                f"{place}: expected grid_search: [a value, ...] and no other key, found {value!r}"
            )
        yield from grid
