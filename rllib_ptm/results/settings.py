"""What distinguishes the runs of an experiment: the variant's name, and the settings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from rllib_ptm.results.trials import SEED

METHOD = "method"
_CHANGE_NOTHING = re.compile(r"seed|num_[cg]pus_.*|.*_timeout_s")
# An entry of an experiment's file is named EXPERIMENT-VARIANT. A digit after the dash belongs to
# the experiment's name, as in refil_3-8sz.
_ENTRY = re.compile(r"(?P<experiment>.+)-(?P<variant>[^\W\d][^-]*)")


def names_of(
    entry: str, method: str, grid: Mapping[str, Any], experiment: str | None = None
) -> tuple[str, str]:
    """The names of the experiment and of the variant of a run.

    Args:
        entry: The name of the entry in the experiment's file, such as ``small_mt-ptm``.
        method: The run's method.
        grid: The values of the searched keys, the seed's apart.
        experiment: The experiment's name; None = what stands before the last dash of the entry's
            name, if a letter follows the dash; else the whole name.

    Returns:
        For example ``("small_mt", "ptm mining_lambda=3")``. An entry without a variant in its
        name, and one with a grid of methods, has the method in that place.
    """
    if experiment is not None:
        own = entry.removeprefix(experiment).removeprefix("-")
    elif match := _ENTRY.fullmatch(entry):
        experiment, own = match["experiment"], match["variant"]
    else:
        experiment, own = entry, ""
    if METHOD in grid or not own:
        own = method
    others = {key: value for key, value in grid.items() if key != METHOD}
    return experiment, " ".join(filter(None, (own, grid_text(others))))


def grid_text(grid: Mapping[str, Any]) -> str:
    """The values of searched keys in words: ``lr=0.001 mining_lambda=3``."""
    return " ".join(f"{key}={_value_text(value)}" for key, value in grid.items())


def _value_text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def searched_values(written: Mapping[str, Any], used: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial drew from the search spaces of its experiment, the seed apart.

    Args:
        written: The config of the experiment's file. A search space is a mapping where the trial's
            config has something else.
        used: The trial's config.

    Returns:
        The values by key, sorted; keys of nested mappings are joined by ``/``.
    """
    found: dict[str, Any] = {}
    for key in written.keys() & used.keys() - {SEED}:
        space, value = written[key], used[key]
        if not isinstance(space, Mapping):
            continue
        if isinstance(value, Mapping) and space.keys() <= value.keys():
            inner = searched_values(space, value)
            found.update({f"{key}/{name}": one for name, one in inner.items()})
        else:
            found[key] = value
    return dict(sorted(found.items()))


def settings_hash(algorithm: str, config: Mapping[str, Any]) -> str:
    """A hash of the settings that change what is learnt: without seed, cores and time limits.

    Args:
        algorithm: The algorithm's name.
        config: The settings that the experiment's file gives to one trial, ``env`` included.
    """
    kept = {key: value for key, value in config.items() if not _CHANGE_NOTHING.fullmatch(key)}
    text = json.dumps([algorithm, _plain(kept)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    """Settings with one form for equal values: 1 for 1.0, lists for tuples."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
