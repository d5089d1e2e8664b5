"""Reads the callbacks of a config: classes and functions of the user's own.

``TaskPriorityCallback``, or one subclass of it, is always among the classes: without it no success
rate is measured, and every task has the same priority.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Callable
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.utils import force_list

from rllib_ptm.checks.errors import InputError, Problems
from rllib_ptm.play.callbacks import EVENTS, overrides
from rllib_ptm.tasks.callback import TaskPriorityCallback

# The events for which RLlib's config takes functions; the others have only a method.
FUNCTION_EVENTS = tuple(
    event for event in EVENTS if f"callbacks_{event}" in vars(AlgorithmConfig())
)


def callback_classes(value: Any, place: str = "config.callbacks") -> list[Callable[[], Any]]:
    """The callback classes that a config asks for, with the one that measures success rates.

    Args:
        value: One or several of: a class, ``functools.partial`` of a class, the path of a class
            such as ``"my_callbacks.MyCallback"``; None = none.
        place: Where it stands, for messages.

    Returns:
        The classes in their order. ``TaskPriorityCallback`` comes first, unless a subclass of it
        is among them: then that one is in its place.

    Raises:
        InputError: A line for each value that is no callback, or that overrides a method that
            is never called. Also for two subclasses of ``TaskPriorityCallback``.
    """
    problems = Problems()
    made: list[Any] = []
    for each in force_list(value):
        with problems.collect():
            made.append(_callback_class(each, place))
    problems.raise_if_any()
    others = [each for each in made if _class_of(each) not in (TaskPriorityCallback, RLlibCallback)]
    measuring = [each for each in others if issubclass(_class_of(each), TaskPriorityCallback)]
    if len(measuring) > 1:
        names = ", ".join(_class_of(each).__name__ for each in measuring)
        raise InputError(
            f"{place}: expected one subclass of TaskPriorityCallback, since each counts every "
            f"episode, found {names}; derive the others from RLlibCallback"
        )
    return others if measuring else [TaskPriorityCallback, *others]


def check_functions(place: str, event: str, value: Any) -> None:
    """Checks the functions for an event, as in ``callbacks(on_episode_end=f)``.

    Args:
        place: Where they stand, for messages.
        event: The event's name.
        value: A function, a list of functions, or None.

    Raises:
        InputError: It is something else, or the event never comes.
    """
    if value is None:
        return
    if not EVENTS[event].is_called:
        raise InputError(f"{place}: it is never called: {EVENTS[event].when}")
    for function in force_list(value):
        if not callable(function):
            raise InputError(f"{place}: expected a function of Python's, found {function!r:.100}")


def _callback_class(value: Any, place: str) -> Any:
    """A class, or ``functools.partial`` of one, that can be built without arguments."""
    made = import_object(value, place) if isinstance(value, str) else value
    found = _class_of(made)
    if not (isinstance(found, type) and issubclass(found, RLlibCallback)):
        raise InputError(
            f"{place}: expected classes derived from RLlibCallback (with arguments: "
            f"functools.partial), found {value!r:.100}"
        )
    never = [name for name, e in EVENTS.items() if not e.is_called and overrides(found, name)]
    if getattr(found, "IS_CALLBACK_CONTAINER", False):
        raise InputError(f"{place}: expected a list of classes, found the container {found!r}")
    if never:
        raise InputError(
            *(
                f"{place}: {found.__name__}.{event} is never called: {EVENTS[event].when}"
                for event in never
            )
        )
    return made


def _class_of(value: Any) -> Any:
    return value.func if isinstance(value, functools.partial) else value


def import_object(path: str, place: str) -> Any:
    """What a path such as ``"package.module.Class"`` names.

    Args:
        path: A module and the name of a class or a function in it.
        place: Where it stands, for messages.

    Raises:
        InputError: There is none.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise InputError(
            f"{place}: expected the path of a class or a function, such as module.Class, found "
            f"{path!r}"
        )
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the user's module runs, and may raise anything
        raise InputError(
            f"{place}: {path!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, name):
        nearest = difflib.get_close_matches(name, vars(module), n=1)
        hint = f"; did you mean {module_name}.{nearest[0]}?" if nearest else ""
        raise InputError(f"{place}: the module {module_name!r} has no {name!r}{hint}")
    return getattr(module, name)
