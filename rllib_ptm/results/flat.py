"""Results as flat mappings, with the keys that Ray Tune shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def flatten(result: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a nested result with keys joined by ``/``, as Tune names them."""
    flat: dict[str, Any] = {}
    for key, value in result.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}/"))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def number_in(result: Mapping[str, Any], key: str) -> float | None:
    """The value of a key of a flat result; None if it is missing or not a finite number."""
    value = result.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
