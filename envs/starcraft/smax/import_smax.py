"""Imports SMAX without the rest of JaxMARL.

``import jaxmarl`` imports every environment of the package: it takes two seconds and prints two
lines. While this module imports SMAX, empty modules stand for the parent packages. It removes them
before it returns, so a later ``import jaxmarl`` loads the whole package.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def _empty_packages(*packages: str) -> Iterator[None]:
    """Puts an empty module into ``sys.modules`` for each package that is not yet imported."""
    absent = [name for name in packages if name not in sys.modules]
    for name in absent:
        if spec := importlib.util.find_spec(name):
            sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


with _empty_packages("jaxmarl", "jaxmarl.environments"):
    from jaxmarl.environments.smax import SMAX, HeuristicEnemySMAX
    from jaxmarl.environments.smax.heuristic_enemy_smax_env import State as BattleState
    from jaxmarl.environments.smax.smax_env import State as UnitState

__all__ = ["SMAX", "BattleState", "HeuristicEnemySMAX", "UnitState"]
