"""Search spaces: a config may hold a grid, or a distribution, in the place of a value.

Each is a mapping of one key, ``{loguniform: [1e-4, 1e-2]}``: the name of a function of ``ray.tune``
and its arguments. It is converted when Tune needs it, so a run's record shows what the user wrote.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from rllib_ptm.checks.errors import InputError, Problems

# At most so many variants of a config are checked, and every value at least once.
MOST_VARIANTS = 256


@dataclass(frozen=True)
class Space:
    """A row of the table.

    Attributes:
        arguments: Names of its arguments; empty = a list of values.
        whole: The arguments are whole numbers.
        bounded: The first two arguments are the ends of the range.
        logarithmic: It draws the logarithm, so its values are more than 0.
        optuna: Optuna can draw from it.
    """

    arguments: tuple[str, ...] = ("low", "high")
    whole: bool = False
    bounded: bool = True
    logarithmic: bool = False
    optuna: bool = True


GRID = "grid_search"
_STEPPED = ("low", "high", "step")
SPACES: dict[str, Space] = {
    GRID: Space((), optuna=False),
    "choice": Space(()),
    "uniform": Space(),
    "quniform": Space(_STEPPED),
    "loguniform": Space(logarithmic=True),
    "qloguniform": Space(_STEPPED, logarithmic=True, optuna=False),
    "randint": Space(whole=True),  # without the high end, as in Tune
    "qrandint": Space(_STEPPED, whole=True),
    "lograndint": Space(whole=True, logarithmic=True),
    "qlograndint": Space(_STEPPED, whole=True, logarithmic=True, optuna=False),
    "randn": Space(("mean", "deviation"), bounded=False, optuna=False),
    "qrandn": Space(("mean", "deviation", "step"), bounded=False, optuna=False),
}


def is_space(value: Any) -> bool:
    """Whether a value of a config is a search space."""
    return isinstance(value, Mapping) and any(key in SPACES for key in value)


def read_space(value: Mapping[str, Any], place: str) -> tuple[str, list[Any]]:
    """A space's name and its arguments.

    Args:
        value: What the user wrote.
        place: Where it stands, for messages.

    Raises:
        InputError: The arguments are not what it needs, or it stands beside other keys.
    """
    name = next(key for key in value if key in SPACES)
    space, arguments = SPACES[name], value[name]
    expected = ", ".join(space.arguments) or "a value, ..."
    wrong = InputError(f"{place}: expected {name}: [{expected}] and no other key, found {value!r}")
    if len(value) > 1 or not isinstance(arguments, list) or not arguments:
        raise wrong
    if not space.arguments:
        return name, arguments
    if len(arguments) != len(space.arguments) or not all(map(_is_number, arguments)):
        raise wrong
    if space.whole and not all(isinstance(argument, int) for argument in arguments):
        raise InputError(f"{place}.{name}: expected whole numbers, found {arguments!r}")
    if space.bounded and arguments[0] >= arguments[1]:
        raise InputError(f"{place}.{name}: expected low < high, found {arguments!r}")
    positive = arguments if space.logarithmic else arguments[1 if not space.bounded else 2 :]
    if any(argument <= 0 for argument in positive):
        raise InputError(f"{place}.{name}: expected {expected} above 0, found {arguments!r}")
    if space.arguments == _STEPPED and not all(_is_multiple(a, arguments[2]) for a in arguments):
        raise InputError(
            f"{place}.{name}: expected low and high that are multiples of step, found {arguments!r}"
        )
    return name, arguments


def _check_points(points: list[Any], place: str) -> None:
    """Checks that no point of a grid stands twice: it would be the same trial again."""
    written = [repr(point) for point in points]
    for point in written:
        if written.count(point) > 1:
            raise InputError(f"{place}.{GRID}: {point:.100} stands twice; num_samples repeats runs")


def _is_multiple(number: float, step: float) -> bool:
    """As Ray Tune checks it."""
    return math.isclose(number / step, round(number / step))


def extremes(value: Mapping[str, Any], place: str) -> list[Any]:
    """The values of a space that have to be legal: all of a list, or both ends of a range."""
    name, arguments = read_space(value, place)
    space = SPACES[name]
    if name == GRID:
        _check_points(arguments, place)
    if not space.arguments:
        return arguments
    if not space.bounded:
        return [float(arguments[0])]  # the mean: a normal distribution has no ends
    low, high = arguments[:2]
    if not space.whole:
        return [float(low), float(high)]
    return [low, high - 1 if name in ("randint", "lograndint") else high]


def variants(config: Mapping[str, Any], place: str) -> Iterator[dict[str, Any]]:
    """Yields configs with a value in place of each space, to be checked before anything starts.

    Every combination of a grid's values and a distribution's extremes, as long as they are few;
    otherwise each value at least once.

    Args:
        config: A config, with spaces at any depth of its mappings.
        place: Where it stands, for messages.

    Raises:
        InputError: A line for each space that cannot be read.
    """
    places = read_spaces(config, place)
    if math.prod(map(len, places.values())) <= MOST_VARIANTS:
        rows: Iterator[Any] = product(*places.values())
    else:
        longest = max(map(len, places.values()))
        rows = (tuple(v[i % len(v)] for v in places.values()) for i in range(longest))
    for row in rows:
        yield _filled(config, (), dict(zip(places, row, strict=True)))


def read_spaces(config: Mapping[str, Any], place: str) -> dict[tuple[str, ...], list[Any]]:
    """The values of each space that have to be legal, by the keys that lead to it.

    Args:
        config: A config, with spaces at any depth of its mappings.
        place: Where it stands, for messages.

    Raises:
        InputError: A line for each space that cannot be read.
    """
    read = {}
    problems = Problems()
    for path, space in _spaces(config, ()):
        with problems.collect():
            read[path] = extremes(space, ".".join((place, *path)))
    problems.raise_if_any()
    return read


def _spaces(
    config: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for key, value in config.items():
        if is_space(value):
            yield (*path, key), value
        elif isinstance(value, Mapping):
            yield from _spaces(value, (*path, key))


def _filled(
    config: Mapping[str, Any], path: tuple[str, ...], chosen: Mapping[tuple[str, ...], Any]
) -> dict[str, Any]:
    filled = {}
    for key, value in config.items():
        here = (*path, key)
        if here in chosen:
            filled[key] = chosen[here]
        else:
            filled[key] = _filled(value, here, chosen) if isinstance(value, Mapping) else value
    return filled


def tune_space(config: Mapping[str, Any], place: str = "config") -> dict[str, Any]:
    """The config with Tune's objects in place of spaces."""
    from ray import tune

    made: dict[str, Any] = {}
    for key, value in config.items():
        if is_space(value):
            name, arguments = read_space(value, f"{place}.{key}")
            make: Callable[..., Any] = getattr(tune, name)
            made[key] = make(*arguments) if SPACES[name].arguments else make(arguments)
        else:
            made[key] = tune_space(value, place) if isinstance(value, Mapping) else value
    return made


def written_space(value: Any, place: str) -> Any:
    """What a YAML file has in the place of Tune's objects, at any depth of mappings.

    Args:
        value: A value of a config in Python.
        place: Where it stands, for messages.

    Raises:
        InputError: It is a distribution that no YAML file can name.
    """
    from ray.tune.search.sample import (
        Categorical,
        Domain,
        Float,
        Integer,
        LogUniform,
        Normal,
        Quantized,
    )

    if isinstance(value, Mapping):
        return {key: written_space(inner, f"{place}.{key}") for key, inner in value.items()}
    if not isinstance(value, Domain):
        return value
    if isinstance(value, Categorical):
        return {"choice": list(value.categories)}
    if not isinstance(value, (Float, Integer)):
        raise InputError(
            f"{place}: a function draws it, which the command cannot check or note down; use one "
            f"of {', '.join(SPACES)}"
        )
    sampler = value.get_sampler()
    step = [sampler.q] if isinstance(sampler, Quantized) else []
    inner = sampler.get_sampler() if isinstance(sampler, Quantized) else sampler
    if isinstance(inner, Normal):
        name, arguments = "randn", [inner.mean, inner.sd]
    else:
        kind = "randint" if isinstance(value, Integer) else "uniform"
        name = f"log{kind}" if isinstance(inner, LogUniform) else kind
        arguments = [value.lower, value.upper]
    return {f"{'q' if step else ''}{name}": [*arguments, *step]}


def searched_keys(config: Mapping[str, Any]) -> list[str]:
    """The keys that hold spaces; keys of nested mappings are joined by ``/``, as Tune does."""
    return ["/".join(path) for path, _ in _spaces(config, ())]


def spaces_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The name of the space that each searched key holds; see ``searched_keys``."""
    return {
        "/".join(path): next(key for key in space if key in SPACES)
        for path, space in _spaces(config, ())
    }


def grid_size(config: Mapping[str, Any]) -> int:
    """The number of points of a config's grids: its trials, if it is sampled once."""
    return math.prod(len(space.get(GRID, (None,))) for _, space in _spaces(config, ()))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
