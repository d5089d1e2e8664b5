"""Reads a dict of settings into a typed dataclass, or says in one line what is wrong with it."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from envs.errors import InputError, unknown_name

Config = TypeVar("Config")


def setting(
    default: Any,
    doc: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    one_of: tuple[str, ...] | None = None,
    backend: str | None = None,
) -> Any:
    """A dataclass field that documents itself and knows its legal values.

    Args:
        default: The value where none is given.
        doc: One line for the user.
        at_least: Smallest legal value.
        at_most: Largest legal value.
        above: The value must be larger than this.
        one_of: The legal names.
        backend: The one backend that has this setting; all of them if not given.
    """
    legal = {"at_least": at_least, "at_most": at_most, "above": above, "one_of": one_of}
    metadata = {"doc": doc, "backend": backend, **legal}
    return dataclasses.field(default=default, metadata=metadata)


def read_config(kind: type[Config], values: Mapping[str, Any], place: str) -> Config:
    """Builds the dataclass ``kind`` from a dict.

    Args:
        kind: A dataclass whose fields are made by ``setting``.
        values: What the user wrote.
        place: Where it stands, for messages, for example ``"env_config"``.

    Raises:
        InputError: An unknown key, or a value of the wrong type or range.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{place}: expected a mapping of keys to values, found {values!r}")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    checked = {}
    for key, value in values.items():
        if key not in fields:
            raise unknown_name(f"{place}.{key}", key, fields)
        checked[key] = check_value(f"{place}.{key}", value, hints[key], fields[key].metadata)
    return kind(**checked)


def check_value(place: str, value: Any, hint: Any, legal: Mapping[str, Any]) -> Any:
    """Returns the value as its type asks for it (an int where a float is due becomes one).

    Raises:
        InputError: The value is of the wrong type or out of range.
    """
    value = _as_type(place, value, hint)
    if legal["one_of"] is not None and value not in legal["one_of"]:
        raise unknown_name(place, value, legal["one_of"])
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_range(place, value, legal)
    return value


def _check_range(place: str, value: float, legal: Mapping[str, Any]) -> None:
    low, high, above = legal["at_least"], legal["at_most"], legal["above"]
    rules = []
    if low is not None:
        rules.append((value >= low, f"at least {low}"))
    if above is not None:
        rules.append((value > above, f"more than {above}"))
    if high is not None:
        rules.append((value <= high, f"at most {high}"))
    # A NaN fulfils no rule, and is caught by any.
    if not all(kept for kept, _ in rules):
        raise InputError(f"{place}: expected {' and '.join(r for _, r in rules)}, found {value!r}")


def _as_type(place: str, value: Any, hint: Any) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        kind = typing.get_origin(option) or option
        if isinstance(value, bool) and kind is not bool:
            continue
        if kind is float and isinstance(value, int):
            return float(value)
        if kind is tuple and isinstance(value, list):
            return tuple(value)
        if isinstance(value, kind):
            return value
    names = ("null" if o is type(None) else getattr(o, "__name__", str(o)) for o in options)
    raise InputError(f"{place}: expected {' or '.join(names)}, found {value!r}")
