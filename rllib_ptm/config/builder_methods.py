"""RLlib's builder methods (``training``, ``env_runners``, ...), with a check of what they get."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.utils.from_config import NotProvided

from rllib_ptm.checks.errors import InputError, unknown_name
from rllib_ptm.config.keys import PTM_KEYS, attribute_of
from rllib_ptm.config.search_spaces import is_space

# All but ``callbacks``, which is an override.
BUILDER_METHODS = (
    "api_stack",
    "checkpointing",
    "debugging",
    "env_runners",
    "environment",
    "evaluation",
    "experimental",
    "fault_tolerance",
    "framework",
    "learners",
    "multi_agent",
    "offline_data",
    "python_environment",
    "reporting",
    "resources",
    "rl_module",
    "training",
)


def checked_builder(name: str) -> Callable[..., Any]:
    """A builder method that checks its arguments before RLlib's own method sets them.

    ``training`` takes PTM's keys too.

    Args:
        name: One of ``BUILDER_METHODS``.
    """
    of_rllib = getattr(AlgorithmConfig, name)
    arguments = [key for key in inspect.signature(of_rllib).parameters if key != "self"]
    legal = {*arguments, *(PTM_KEYS if name == "training" else ())}

    @functools.wraps(of_rllib)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        """RLlib's method, after a check; ``wraps`` gives it RLlib's docstring."""
        given = {**dict(zip(arguments, args, strict=False)), **kwargs}
        values = self.checked({k: v for k, v in given.items() if v is not NotProvided})
        for key in values:
            if key not in legal:
                raise unknown_name(f"config.{name}()", key, legal)
        with errors_in_one_line(f"config.{name}()"):
            of_rllib(self, **set_directly(self, values))
        return self

    return checked


def set_directly(config: AlgorithmConfig, values: dict[str, Any]) -> dict[str, Any]:
    """Sets PTM's keys and search spaces, which RLlib's methods do not take.

    Returns:
        The other values.
    """
    direct = {key for key, value in values.items() if key in PTM_KEYS or is_space(value)}
    for key in direct:
        setattr(config, attribute_of(key), values[key])
    return {key: value for key, value in values.items() if key not in direct}


@contextmanager
def errors_in_one_line(place: str) -> Iterator[None]:
    """Turns the errors of RLlib's own checks, which are of any type, into one line.

    Args:
        place: What was called, for messages.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        text = " ".join((str(error) or type(error).__name__).split())
        # without the advice to switch the checks off
        text = text.partition(" To suppress all validation errors")[0]
        raise InputError(f"{place}: {text}") from error
