"""Reads settings with pydantic, and turns its errors into one line for each wrong key."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo

from .errors import InputError, Problems, located, shown, unknown_name

AnySettings = TypeVar("AnySettings", bound="Settings")

LARGEST_INT = 2**63 - 1  # numpy and torch hold no larger one

_STRICT = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)
_RULES = {"ge": "at least", "gt": "more than", "le": "at most"}
_OUT_OF_RANGE = {"greater_than_equal", "greater_than", "less_than_equal"}

# Lists become tuples, so that settings cannot change.
ListAsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)


class Settings(BaseModel):
    """Settings whose types, ranges and names are checked where they are made.

    A field says its type, default, range and documentation: ``x: int = Field(1, ge=1,
    description="...")``. Types are strict: a bool is no int and a string is no number, but an int
    is a float. Numbers of numpy become Python's. Infinite numbers, NaN and integers beyond 64 bits
    are refused.

    A validator of a subclass raises ``InputError``; its messages begin with the key.

    Raises:
        InputError: A line for each unknown key, wrong type or value out of range.
    """

    model_config = _STRICT

    def __init__(self, **values: Any) -> None:
        problems = Problems()
        plain = {}
        for key, value in values.items():
            with problems.collect():
                plain[key] = plain_numbers(key, value)
        with problems.collect():
            try:
                super().__init__(**plain)
            except ValidationError as error:
                raise InputError(*_lines(type(self), error)) from None
        problems.raise_if_any()

    @classmethod
    def key_names(cls) -> tuple[str, ...]:
        """The keys that users may write."""
        return tuple(cls.model_fields)


def read_settings(kind: type[AnySettings], values: Any, place: str) -> AnySettings:
    """Builds settings from what a user wrote.

    Args:
        kind: The settings.
        values: What the user wrote: a mapping of keys to values.
        place: Where it stands, for messages, for example ``"env_config"``.

    Raises:
        InputError: A line for each unknown key, wrong type or value out of range.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{place}: expected a mapping of keys to values, found {shown(values)}")
    for key in values:
        if not isinstance(key, str):
            raise InputError(f"{place}: expected keys that are names, found {key!r}")
    with located(f"{place}."):
        return kind(**values)


def check_value(place: str, value: Any, hint: Any) -> Any:
    """Checks one value.

    Args:
        place: Where it stands, for messages.
        value: What the user wrote.
        hint: Its type, for example ``Annotated[int, Field(ge=1)] | None``.

    Returns:
        The value; a float in place of an int where a float is expected.

    Raises:
        InputError: The value is of the wrong type or out of range.
    """
    value = plain_numbers(place, value)
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        field = FieldInfo.from_annotation(hint)
        raise InputError(*_message(place, value, field, error.errors())) from None


def plain_numbers(place: str, value: Any) -> Any:
    """Returns a value with Python's numbers and lists in place of numpy's numbers and arrays.

    Args:
        place: Where it stands, for messages.
        value: What the user wrote: a number, or lists and dicts of numbers, or anything else.

    Returns:
        The same object if nothing in it changes.

    Raises:
        InputError: An integer in it is beyond 64 bits.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if type(value) is np.ndarray:
        return plain_numbers(place, value.tolist())
    if type(value) is int and abs(value) > LARGEST_INT:
        raise InputError(f"{place}: expected at most 2**63 - 1, found {shown(value, 30)}")
    if type(value) in (list, tuple):
        items = [plain_numbers(place, item) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else type(value)(items)
    if type(value) is dict:
        inner = {key: plain_numbers(f"{place}.{key}", item) for key, item in value.items()}
        return value if all(inner[key] is value[key] for key in value) else inner
    return value


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))


class _UnknownNameError(ValueError):
    """A string is none of ``names``. The place is known where the message is made."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(names)
        self.names = names


@dataclass(frozen=True)
class _OneOf:
    """Returns a string if it is one of ``names``."""

    names: Collection[str]

    def __call__(self, name: str) -> str:
        if name not in self.names:
            raise _UnknownNameError(self.names)
        return name


def one_of(names: Collection[str]) -> AfterValidator:
    """The rule that a string is one of some names.

    Examples:
        >>> method: Annotated[str, one_of(METHODS)]
    """
    return AfterValidator(_OneOf(names))


def legal_values(field: FieldInfo) -> str:
    """What a key takes, in words for its documentation.

    Args:
        field: The key's type, range and legal names.

    Returns:
        For example ``int, at least 1 and at most 9``, or ``qmix, vdn``.
    """
    members = _members(field.annotation, field.metadata)
    return " or ".join(dict.fromkeys(_described(name, rules) for name, rules in members))


def _described(name: str, metadata: list[Any]) -> str:
    names = [
        name
        for rule in metadata
        if isinstance(rule, AfterValidator) and isinstance(rule.func, _OneOf)
        for name in rule.func.names
    ]
    if names:
        return ", ".join(names)
    rules = " and ".join(_rules(name, metadata))
    return f"{name}, {rules}" if rules else name


def _lines(kind: type[Settings], error: ValidationError) -> Iterator[str]:
    """A line for each wrong key, or item of a list or mapping.

    Several errors of one key are those of a union's members.
    """
    by_place: dict[Any, list[Mapping[str, Any]]] = {}
    for details in error.errors():
        key = details["loc"][:1]
        length = 1 if _item(kind, key) is None else 2
        by_place.setdefault(details["loc"][:length], []).append(details)
    for loc, errors in by_place.items():
        if not loc:  # a validator of the whole
            yield from _raised("", None, errors)
        elif errors[0]["type"] == "extra_forbidden":
            yield from unknown_name(str(loc[0]), loc[0], kind.key_names()).lines
        else:
            item = _item(kind, loc[:1]) if len(loc) > 1 else None
            field = item or kind.model_fields[str(loc[0])]
            yield from _message(".".join(map(str, loc)), errors[0]["input"], field, errors)


def _item(kind: type[Settings], key: tuple[Any, ...]) -> FieldInfo | None:
    """What a key's list or mapping holds; None if it holds nothing of a given type."""
    field = kind.model_fields.get(str(*key))
    origin = typing.get_origin(field.annotation) if field else None
    if field is None or origin not in (tuple, Mapping):
        return None
    arguments = typing.get_args(field.annotation)
    return FieldInfo.from_annotation(arguments[0 if origin is tuple else 1])


def _message(
    place: str, value: Any, field: FieldInfo, errors: Iterable[Mapping[str, Any]]
) -> Iterable[str]:
    """What to say of one value."""
    errors = list(errors)
    if raised := _raised(place, value, errors):
        return raised
    members = list(_members(field.annotation, field.metadata))
    types = {details["type"] for details in errors}
    rules = " and ".join(rule for name, rules in members for rule in _rules(name, rules))
    if rules and (types & _OUT_OF_RANGE or value != value):  # NaN is outside of every range
        return (f"{place}: expected {rules}, found {shown(value)}",)
    if "finite_number" in types:
        return (f"{place}: expected a finite number, found {value!r}",)
    names = list(dict.fromkeys(name for name, _ in members))
    # YAML reads the version 4.10 as the number 4.1.
    remedy = "; write it in quotes" if "str" in names and isinstance(value, float) else ""
    return (f"{place}: expected {' or '.join(names)}, found {shown(value)}{remedy}",)


def _raised(place: str, value: Any, errors: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The messages of errors that validators of ours raised."""
    lines: list[str] = []
    for details in errors:
        error = details["ctx"]["error"] if details["type"] == "value_error" else None
        if isinstance(error, _UnknownNameError):
            error = unknown_name(place, value, error.names)
        if isinstance(error, InputError):
            lines += error.lines
    return tuple(lines)


def _members(hint: Any, metadata: Iterable[Any] = ()) -> Iterator[tuple[str, list[Any]]]:
    """The name and the metadata of each member of a union, or of the one type."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        for member in typing.get_args(hint):
            yield from _members(member, metadata)
    elif typing.get_origin(hint) is Annotated:
        inner, *own = typing.get_args(hint)
        yield from _members(inner, [*metadata, *own])
    elif typing.get_origin(hint) is Literal:
        for value in typing.get_args(hint):
            yield repr(value), []
    elif hint is type(None):
        yield "null", []
    else:
        kind = typing.get_origin(hint) or hint
        yield getattr(kind, "__name__", str(kind)), list(metadata)


def _rules(kind: str, metadata: Iterable[Any]) -> Iterator[str]:
    """A range in words; its ends are written as the type writes numbers."""
    for rule in metadata:
        if isinstance(rule, FieldInfo):
            yield from _rules(kind, rule.metadata)
        for attribute, words in _RULES.items():
            end = getattr(rule, attribute, None)
            if end is not None:
                yield f"{words} {float(end) if kind == 'float' else end}"
