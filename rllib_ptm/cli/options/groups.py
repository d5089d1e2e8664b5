"""Two things that Typer lacks: options shared by several commands, and each given only once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from typer.core import TyperCommand, TyperGroup

from rllib_ptm.checks.errors import InputError


def takes_options(group: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command the options that are the fields of a dataclass.

    To Typer each field is a parameter of the command. The command itself has one parameter,
    ``options``, which gets an object of the dataclass.
    """

    def _decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def _with_options(**values: Any) -> Any:
            options = group(**{field.name: values.pop(field.name) for field in fields(group)})
            return command(**values, options=options)

        own = inspect.signature(command, eval_str=True).parameters.values()
        shared = inspect.signature(group, eval_str=True).parameters.values()
        parameters = [*(parameter for parameter in own if parameter.name != "options"), *shared]
        _with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        _with_options.__name__, _with_options.__doc__ = command.__name__, command.__doc__
        return _with_options

    return _decorate


class StrictCommand(TyperCommand):
    """A command that refuses an option that stands twice. Typer would take the last value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the words after the command."""
        _check_options(self, ctx, args)
        return super().parse_args(ctx, args)


class StrictGroup(TyperGroup):
    """A group of commands that refuses options that stand twice, or before one of its commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the words after the group."""
        options, rest = _check_options(self, ctx, args)
        if options and rest:
            raise InputError(
                f"{options[0].opts[0]}: options belong after the file: rllib train file X.yaml ..."
            )
        return super().parse_args(ctx, args)


def _check_options(
    command: TyperCommand | TyperGroup, context: Any, words: Sequence[str]
) -> tuple[list[Any], list[str]]:
    """Returns the options among the words in their order, and the words that are left.

    Raises:
        InputError: An option stands twice, possibly by another of its names.
    """
    _, rest, order = command.make_parser(context).parse_args(args=list(words))
    options: list[Any] = [p for p in order if p.param_type_name == "option" and not p.is_eager]
    for option in options:
        if options.count(option) > 1 and not option.count:
            found = [word.partition("=")[0] for word in words]
            names = list(dict.fromkeys(name for name in found if name in option.opts))
            by = f", as {' and as '.join(names)}" if len(names) > 1 else ""
            raise InputError(f"{option.opts[0]}: it stands twice{by}; one would be ignored")
    return options, rest
