"""Options that stand twice: the parser would take the last one, and forget the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.main import get_command

from envs.errors import InputError


def refuse_repeats(app: typer.Typer, words: Sequence[str]) -> None:
    """Makes sure that no option stands twice, be it by another of its names.

    Raises:
        InputError: One does.
    """
    first_names = dict(_names(get_command(app)))
    seen: dict[str, str] = {}
    for word in _options(words, first_names):
        name = first_names[word]
        if name in seen:
            again = f", as {seen[name]} and as {word}" if seen[name] != word else ""
            raise InputError(f"{name}: it stands twice{again}; one would be forgotten")
        seen[name] = word


def _options(words: Sequence[str], first_names: dict[str, str]) -> Iterator[str]:
    """The options among the words, without what only looks like one: the value of another."""
    value_follows = False
    for word in words:
        option = word.partition("=")[0] if word.startswith("--") else word
        if value_follows or option not in first_names:
            value_follows = False
            continue
        yield option
        value_follows = "=" not in word and first_names[option] not in _FLAGS


_FLAGS = ("--resume", "--checkpoint-at-end", "--help")


def _names(command: Any) -> Iterator[tuple[str, str]]:
    """Every name of every option of every command, and the first one of the same option."""
    for parameter in command.params:
        if parameter.param_type_name == "option" and not getattr(parameter, "count", False):
            yield from ((name, parameter.opts[0]) for name in parameter.opts)
    for inner in getattr(command, "commands", {}).values():
        yield from _names(inner)
