"""What N battles went through of late, and the episodes that are cut out of it.

Shape legend: ``N`` battles, ``A`` agents, ``T`` steps of an episode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from envs.starcraft.units import FloatArray, IntArray, Units
from rllib_ptm.replay.episodes import MOVING


class Recording:
    """The last steps of N battles: the moments, what was done in them and what it earned.

    Every array is a ring with a row for each step, as many as the longest episode has.

    Args:
        time_limit_steps: Steps of the longest episode.
        units: A record of the battles, for its shapes.
    """

    def __init__(self, time_limit_steps: int, units: Units) -> None:
        def ring(like: np.ndarray) -> np.ndarray:
            return np.zeros((time_limit_steps, *like.shape), like.dtype)

        self._moments = {name: ring(getattr(units, name)) for name in MOVING}
        self._actions = ring(units.last_action)
        self._rewards = ring(units.step.astype(np.float32))
        self._steps = 0

    def add(self, moment: Units, actions: IntArray, rewards: FloatArray) -> None:
        """One step: the moment in which the actions [N, A] were chosen, and their rewards [N]."""
        row = self._steps % len(self._rewards)
        for name, ring in self._moments.items():
            ring[row] = getattr(moment, name)
        self._actions[row] = actions
        self._rewards[row] = rewards
        self._steps += 1

    def cut(self, battle: int, end: Units) -> tuple[Units, np.ndarray, FloatArray]:
        """The episode of one battle that ends in a moment.

        Args:
            battle: Its index.
            end: The moment after the last step.

        Returns:
            As ``TeamEpisode`` has them: the T + 1 moments, the actions [T, A], the rewards [T].
        """
        rows = self._last(int(end.step[battle]))
        arrays = {}
        for field in fields(Units):
            last = getattr(end, field.name)[battle : battle + 1]
            ring = self._moments.get(field.name)
            arrays[field.name] = (
                last.copy() if ring is None else np.concatenate([ring[rows, battle], last])
            )
        return Units(**arrays), self._actions[rows, battle], self._rewards[rows, battle]

    def get_state(self, steps: int) -> dict[str, np.ndarray]:
        """The last so many steps, as far as there are any, as plain arrays, the oldest first."""
        rows = self._last(min(steps, self._steps, len(self._rewards)))
        state = {f"moments.{name}": ring[rows] for name, ring in self._moments.items()}
        return state | {"actions": self._actions[rows], "rewards": self._rewards[rows]}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes the steps that ``get_state`` gave."""
        self._steps = len(state["rewards"])
        rows = self._last(self._steps)
        for name, ring in self._moments.items():
            ring[rows] = state[f"moments.{name}"]
        self._actions[rows] = state["actions"]
        self._rewards[rows] = state["rewards"]

    def _last(self, steps: int) -> IntArray:
        """[steps] the rows of the last so many steps, the oldest first."""
        return np.arange(self._steps - steps, self._steps) % len(self._rewards)
