"""Reads YAML that holds words, numbers, lists and mappings, and nothing else.

YAML itself can hold much more: dates, sets, objects of Python's, values that contain themselves,
and a few lines that stand for billions of values. PyYAML raises many kinds of errors for these, or
does not return. Here each is an ``InputError`` that names the line.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from rllib_ptm.checks.errors import InputError, located
from rllib_ptm.cli.read.limits import (
    check_amount,
    check_key,
    check_keys,
    check_length,
    check_word,
    read_number,
)

_PREFIX = "tag:yaml.org,2002:"
_INT, _FLOAT, _MERGE, _DATE = (f"{_PREFIX}{k}" for k in ("int", "float", "merge", "timestamp"))
_WORDS = (f"{_PREFIX}str", f"{_PREFIX}value", _MERGE)  # a lone = or << is a word
_CONSTANTS = (f"{_PREFIX}bool", f"{_PREFIX}null")
_OTHER_BASE = re.compile(r"[-+]?0[0-7_]+|.*:.*")  # 010 is 8, and 1:30 is 90
_LIST, _MAPPING = f"{_PREFIX}seq", f"{_PREFIX}map"


def load_yaml(text: str) -> Any:
    """Returns what a YAML text holds; None if it is empty.

    Raises:
        InputError: It is not YAML, or holds more than plain data.
    """
    check_length(text)
    try:
        loader = _PlainLoader(text)
    except yaml.reader.ReaderError as error:
        before = text[: error.position].split("\n")
        where = f"line {len(before)}, column {len(before[-1]) + 1}"
        character = chr(error.character)
        raise InputError(f"{where}: not YAML: {character!r} is not allowed") from None
    try:
        return loader.get_single_data()
    except InputError:
        raise
    except yaml.MarkedYAMLError as error:
        with _at(error.problem_mark or error.context_mark or loader.get_mark()):
            raise InputError(f"not YAML: {error.problem}") from None
    except (ValueError, OverflowError) as error:  # PyYAML checks no number in an escape
        with _at(loader.get_mark()):
            raise InputError(f"not YAML: {error}") from None


def _at(mark: yaml.Mark) -> AbstractContextManager[None]:
    """Names the line before each message of an input error inside."""
    return located(f"line {mark.line + 1}, column {mark.column + 1}: ")


class _PlainLoader(yaml.SafeLoader):
    """Builds plain data. Each alias becomes a copy, so the limits hold for the result."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Called by PyYAML for each node, from within that of the list or mapping around it."""
        with _at(self.peek_event().start_mark):
            check_amount(0, self._depth)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_data(self) -> Any:
        """Returns the content of the only document."""
        node = self.get_single_node()
        return None if node is None else self._value(node, 0)

    def _value(self, node: Node, depth: int) -> Any:
        self._values += 1
        with _at(node.start_mark):
            check_amount(self._values, depth)
            if isinstance(node, ScalarNode):
                return self._scalar(node)
            if node.tag != (_MAPPING if isinstance(node, MappingNode) else _LIST):
                raise _wrong_tag(node)
        if isinstance(node, MappingNode):
            return self._mapping(node, depth)
        return [self._value(inner, depth + 1) for inner in node.value]

    def _scalar(self, node: ScalarNode) -> Any:
        """A word, number, bool or null, if the text is what an explicit tag says."""
        if node.tag in _WORDS:
            return check_word(node.value)
        meant = self.resolve(ScalarNode, node.value, (True, False))
        if meant in (_INT, _FLOAT) and _OTHER_BASE.fullmatch(node.value):
            raise InputError(
                f"YAML 1.1 reads {node.value!r} in base 8 or 60; write the number in base 10, or "
                f"put a word between quotes"
            )
        if node.tag == _INT == meant:
            return read_number(node.value, lambda _: self.construct_yaml_int(node))
        if node.tag == _FLOAT and meant in (_INT, _FLOAT):
            return read_number(node.value, lambda _: self.construct_yaml_float(node))
        if node.tag == meant and meant in _CONSTANTS:
            return self.construct_object(node)
        if node.tag == _DATE == meant:
            raise InputError(f"YAML reads {node.value!r} as a date; put it between quotes")
        raise _wrong_tag(node)

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = self._key(key_node, depth + 1)
            value = self._value(value_node, depth + 1)
            with _at(key_node.start_mark):
                if key in seen:
                    raise InputError(f"the key {key!r} stands twice")
                if key_node.tag == _MERGE:
                    merged = _merged(value)
                else:
                    own[key] = value
            seen.add(key)
        with _at(node.start_mark):
            return check_keys({**merged, **own})

    def _key(self, node: Node, depth: int) -> str:
        with _at(node.start_mark):
            if not isinstance(node, ScalarNode):
                raise InputError(f"expected keys that are words, found {_described(node)}")
        key = self._value(node, depth)
        with _at(node.start_mark):
            return check_key(key)


def _merged(value: Any) -> dict[str, Any]:
    """What ``<<`` stands for: a mapping, or several, of which the first one that has a key wins."""
    mappings = value if isinstance(value, list) else [value]
    merged: dict[str, Any] = {}
    for mapping in reversed(mappings):
        if not isinstance(mapping, dict):
            raise InputError(
                f"expected a mapping or a list of them after <<, found {mapping!r:.80}"
            )
        merged.update(mapping)
    return merged


def _wrong_tag(node: Node) -> InputError:
    tag = node.tag.replace(_PREFIX, "!!")
    return InputError(
        f"expected a word, number, true, false, null, list or mapping, found {tag!r:.80} before "
        f"{_described(node)}"
    )


def _described(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return f"{node.value!r:.80}"
    return "a mapping" if isinstance(node, MappingNode) else "a list"


# PyYAML follows YAML 1.1, which reads 5e-4 as a string. People write learning rates like that.
_PlainLoader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
