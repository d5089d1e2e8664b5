"""Reads YAML files and JSON options by one set of rules: plain data, and no key twice."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from rllib_ptm.envs.errors import InputError

_DEEPEST = 20  # this limit also ends a value that contains itself
_MOST_VALUES = 100_000  # with aliases, a few lines of YAML can stand for billions of values


def read_yaml(path: Path) -> Any:
    """Returns the content of a YAML file.

    Raises:
        InputError: The file cannot be read, is not YAML, or holds more than plain data.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"{path}: cannot be read: {reason}") from None
    return _read(str(path), "YAML", lambda: yaml.load(text, Loader=_StrictLoader))


def read_json_object(option: str, text: str | None) -> dict[str, Any] | None:
    """Returns the JSON object that an option holds; None if the option is not given.

    Raises:
        InputError: It is not a JSON object, or a key stands in it twice.
    """
    if text is None:
        return None
    shown = f", in {text!r:.200}"
    content = _read(option, "JSON", lambda: json.loads(text, object_pairs_hook=_object), shown)
    if not isinstance(content, dict):
        raise InputError(f'{option}: expected a JSON object such as {{"key": 1}}, found {text!r}')
    return content


def _read(place: str, form: str, load: Callable[[], Any], shown: str = "") -> Any:
    """Returns the result of ``load``. Each error becomes one line, which ends in ``shown``."""
    try:
        content = load()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{place}{where}: not {form}: {error.problem}") from None
    except RecursionError:
        raise InputError(f"{place}: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:  # also a date or a number that is out of range
        raise InputError(f"{place}: not {form}: {' '.join(str(error).split())}{shown}") from None
    _check_plain(content, place)
    return content


def _check_plain(content: Any, place: str) -> None:
    """Raises an error for dates and other objects, keys that are not words, and too much data."""
    seen = 0
    todo: list[tuple[Any, int]] = [(content, 0)]
    while todo:
        value, depth = todo.pop()
        seen += 1
        if depth > _DEEPEST or seen > _MOST_VALUES:
            raise InputError(f"{place}: it is nested too deeply, or holds too much")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise InputError(f"{place}: expected keys that are words, found {key!r}")
            todo += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            todo += [(inner, depth + 1) for inner in value]
        elif not (value is None or isinstance(value, (str, bool, int, float))):
            raise InputError(
                f"{place}: expected words and numbers, found {value!r}, which YAML reads as a "
                f"{type(value).__name__}; put it between quotes"
            )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Builds a JSON object. ``json`` itself keeps the last of two equal keys."""
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise ValueError(f"the key {key!r} stands twice")
    return dict(pairs)


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader. It refuses equal keys, of which PyYAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Builds a mapping; an error if a key is not a plain word, or stands twice."""
        seen = set()
        for key, _ in node.value:
            problem = "a key must be a plain word"
            if isinstance(key, yaml.ScalarNode):
                problem = f"the key {key.value!r} stands twice" if key.value in seen else ""
            if problem:
                raise yaml.constructor.ConstructorError(
                    problem=problem, problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# PyYAML follows YAML 1.1, which reads 5e-4 as a string. People write learning rates like that.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
