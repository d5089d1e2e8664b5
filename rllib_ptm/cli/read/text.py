"""Reads YAML files and JSON options by one set of rules: plain data, and no key twice."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rllib_ptm.checks.errors import InputError, located
from rllib_ptm.cli.read.limits import (
    MOST_CHARACTERS,
    check_amount,
    check_key,
    check_keys,
    check_length,
    check_word,
    read_number,
)
from rllib_ptm.cli.read.plain_yaml import load_yaml


def read_yaml(path: Path) -> Any:
    """Returns the content of a YAML file.

    Raises:
        InputError: The file cannot be read, is not YAML, or holds more than plain data.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise InputError(f"{path}: cannot be read: {reason}") from None
    with located(f"{path}, "):
        return load_yaml(text)


def check_path(place: str, path: str) -> None:
    """Checks that a path has a name for this machine, and for pyarrow, which writes UTF-8.

    Raises:
        InputError: It has none, mostly because the locale is not UTF-8.
    """
    try:
        os.fsencode(path)
        path.encode()
    except UnicodeEncodeError:
        encoding = sys.getfilesystemencoding()
        raise InputError(
            f"{place}: expected a path that can be written in UTF-8 and in {encoding}, the "
            f"encoding of this locale (LC_ALL), found {path!r}"
        ) from None


def read_json_object(option: str, text: str | None) -> dict[str, Any] | None:
    """Returns the JSON object that an option holds; None if the option is not given.

    Raises:
        InputError: It is not a JSON object, or a key stands in it twice.
    """
    if text is None:
        return None
    with located(f"{option}: "):
        content = _load_json(text)
        if not isinstance(content, dict):
            raise InputError(f'expected a JSON object such as {{"key": 1}}, found {text!r:.200}')
        return content


def _load_json(text: str) -> Any:
    check_length(text)
    try:
        content = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=lambda number: read_number(number, int),
            parse_float=lambda number: read_number(number, float),
        )
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error}, in {text!r:.200}") from None
    except RecursionError:
        raise InputError("it is nested too deeply") from None
    _check_plain(content)
    return content


def _check_plain(content: Any) -> None:
    """Checks the words of a JSON text, and how much it holds."""
    seen = 0
    todo: list[tuple[Any, int]] = [(content, 0)]
    while todo:
        value, depth = todo.pop()
        seen += 1
        check_amount(seen, depth)
        if isinstance(value, str):
            check_word(value)
        elif isinstance(value, dict):
            for key in check_keys(value):
                check_key(key)
            todo += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            todo += [(inner, depth + 1) for inner in value]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Builds a JSON object. ``json`` itself keeps the last of two equal keys."""
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise InputError(f"the key {key!r:.100} stands twice")
    return dict(pairs)
