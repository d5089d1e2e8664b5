"""Imports SMAX without the rest of JaxMARL.

``import jaxmarl`` imports every environment of the package: it takes two seconds and prints two
lines. While this module imports SMAX, empty modules stand for the parent packages. A later
``import jaxmarl`` loads the whole package.
"""

from __future__ import annotations

from rllib_ptm.checks.partial_imports import empty_packages

with empty_packages("jaxmarl", "jaxmarl.environments"):
    from jaxmarl.environments.smax import SMAX, HeuristicEnemySMAX
    from jaxmarl.environments.smax.heuristic_enemy_smax_env import State as BattleState
    from jaxmarl.environments.smax.smax_env import State as UnitState

__all__ = ["SMAX", "BattleState", "HeuristicEnemySMAX", "UnitState"]
