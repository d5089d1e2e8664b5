"""Reads the names of tasks that users write.

As ``tasks``: the name of a task or of a set, or a list of such names. As ``options`` of ``reset``:
the name of one task.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, product
from typing import Any

from pydantic import AfterValidator

from ..checks.errors import InputError, unknown_name


def readable_by(parse: Callable[[Any], object]) -> AfterValidator:
    """The rule that ``tasks`` can be parsed; each message begins with the key.

    Examples:
        >>> tasks: Annotated[str | tuple, readable_by(parse_tasks)]
    """

    def check(tasks: str | tuple[str, ...]) -> str | tuple[str, ...]:
        try:
            parse(tasks)
        except InputError as error:
            lines = (line.removeprefix("tasks: ") for line in error.lines)
            raise InputError(*(f"tasks: {line}" for line in lines)) from None
        return tasks

    return AfterValidator(check)


def task_names(
    tasks: str | Sequence[str], sets: Mapping[str, Sequence[str]], example: str
) -> tuple[str, ...]:
    """The names of the tasks, those of sets included.

    A task that is in several sets of the list stands once.

    Args:
        tasks: What the user wrote.
        sets: The task sets by name.
        example: The name of a task, for messages.

    Raises:
        InputError: The list is empty, or a name is no name or adds nothing to the list.
    """
    names = (tasks,) if isinstance(tasks, str) else tasks
    if not names:
        raise InputError(
            f"tasks: the list is empty; give a task such as {example!r}, or a task set"
        )
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"tasks: expected task names, found {name!r}")
    _check_each_adds(names, sets)
    return tuple(dict.fromkeys(chain.from_iterable(sets.get(name, (name,)) for name in names)))


def task_to_play(options: Mapping[str, Any] | None, tasks: Sequence[str], drawn: str) -> str:
    """The task that the ``options`` of ``reset`` name, else the one that was drawn.

    Other options are ignored, as wrappers may have some of their own.

    Raises:
        InputError: The options are no dict, a key is probably a misspelt ``task``, or the task is
            none of ``tasks``.
    """
    if options is None:
        return drawn
    if not isinstance(options, Mapping):
        raise InputError(
            f"reset(options=...): expected a dict such as {{'task': {drawn!r}}}, "
            f"found {options!r:.100}"
        )
    for key in options:
        if key != "task" and difflib.get_close_matches(str(key).lower(), ["task"], cutoff=0.75):
            raise InputError(f"reset(options=...): unknown key {key!r}; did you mean 'task'?")
    name = options.get("task", drawn)
    if name not in tasks:
        raise unknown_name("reset(options={'task': ...})", name, tasks)
    return name


def _check_each_adds(names: Sequence[str], sets: Mapping[str, Sequence[str]]) -> None:
    """Checks that no name stands twice, and that no task is in a set of the list, too.

    Raises:
        InputError: It is not clear what is meant: no task is drawn more often than another.
    """
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise InputError(f"tasks: {', '.join(repeated)} stands twice in the list")
    for name, task_set in product(names, [name for name in names if name in sets]):
        if name in sets[task_set]:
            raise InputError(f"tasks: {name} stands in the list, and in its set {task_set}, too")
