"""StarCraft as the game that PTM plays, for tests that need its sizes."""

from __future__ import annotations

from typing import Any

from rllib_ptm.environment.contract import TeamSpec
from rllib_ptm.environment.starcraft import StarCraftGame


def starcraft(*tasks: str, **settings: Any) -> StarCraftGame:
    """The game of these tasks."""
    return StarCraftGame.read({"tasks": list(tasks), **settings})


def spec_of(allies: int, enemies: int) -> TeamSpec:
    """The sizes of a game with so many slots of each side."""
    return starcraft(f"{allies}m_vs_{enemies}m").spec


def slots_of(allies: int, enemies: int) -> dict[str, int]:
    """What ``TeamGame.slots`` is then."""
    return {"env_config.max_allies": allies, "env_config.max_enemies": enemies}


# Its view is the same for all tasks.
VIEW = starcraft("3m").view
