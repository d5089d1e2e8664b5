"""The environments that users have registered with Tune."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def registered_creator(name: str) -> Callable[[Any], Any] | None:
    """The creator of the environment that is registered under a name; None if there is none."""
    from ray.tune.registry import ENV_CREATOR, _global_registry

    if not _global_registry.contains(ENV_CREATOR, name):
        return None
    creator: Callable[[Any], Any] = _global_registry.get(ENV_CREATOR, name)
    return creator


def registered_environments() -> list[str]:
    """The names of the environments that this process has registered."""
    from ray.tune.registry import ENV_CREATOR, _global_registry

    pairs = {*_global_registry._registered, *_global_registry._to_flush}
    return sorted(name for category, name in pairs if category == ENV_CREATOR)


@contextmanager
def kept_registrations() -> Iterator[None]:
    """Keeps what is registered before a cluster starts, where Ray forgets it as the cluster ends.

    A cluster may start and end inside.
    """
    from ray.tune.registry import _global_registry

    waiting = dict(_global_registry._to_flush)
    try:
        yield
    finally:
        _global_registry._to_flush.update(waiting)
