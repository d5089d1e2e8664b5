"""Episodes of random allowed actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rllib_ptm.envs.multi_task_foraging_v0 import MultiTaskForaging


def random_actions(observations: dict[str, Any], rng: np.random.Generator) -> dict[str, int]:
    return {
        agent: int(rng.choice(np.flatnonzero(observation["action_mask"])))
        for agent, observation in observations.items()
    }


def episode(
    environment: MultiTaskForaging, seed: int, task: str | None = None
) -> Iterator[tuple[Any, ...]]:
    """Yields reset's result, and step's until the episode is over."""
    rng = np.random.default_rng(seed)
    results: tuple[Any, ...] = environment.reset(seed, {"task": task} if task else None)
    yield results
    while environment.agents:
        results = environment.step(random_actions(results[0], rng))
        yield results
