"""Records the last steps of N battles, and cuts finished episodes out of the record.

Shape legend: ``N`` battles, ``A`` agents, ``T`` steps of an episode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from rllib_ptm.envs.starcraft.units import FloatArray, IntArray, Units
from rllib_ptm.replay.episodes import MOVING


class Recording:
    """Ring buffers of observations, actions and rewards.

    Every buffer has one row per step, as many as the longest episode has steps.

    Args:
        time_limit_steps: Number of steps of the longest episode.
        units: A record of the battles, for its shapes.
    """

    def __init__(self, time_limit_steps: int, units: Units) -> None:
        def ring(like: np.ndarray) -> np.ndarray:
            return np.zeros((time_limit_steps, *like.shape), like.dtype)

        self._observations = {name: ring(getattr(units, name)) for name in MOVING}
        self._actions = ring(units.last_action)
        self._rewards = ring(units.step.astype(np.float32))
        self._steps = 0

    def add(self, observation: Units, actions: IntArray, rewards: FloatArray) -> None:
        """Records one step of all battles.

        Args:
            observation: The units when the actions were chosen, [N, ...].
            actions: [N, A].
            rewards: [N], which followed the actions.
        """
        row = self._steps % len(self._rewards)
        for name, ring in self._observations.items():
            ring[row] = getattr(observation, name)
        self._actions[row] = actions
        self._rewards[row] = rewards
        self._steps += 1

    def cut(self, battle: int, final: Units) -> tuple[Units, np.ndarray, FloatArray]:
        """Cuts out the episode of a battle that has just ended.

        Args:
            battle: The battle's index.
            final: The units after the last step, [N, ...].

        Returns:
            The fields of ``TeamEpisode``: T + 1 observations, actions [T, A], rewards [T].
        """
        rows = self._last_rows(int(final.step[battle]))
        arrays = {}
        for field in fields(Units):
            last = getattr(final, field.name)[battle : battle + 1]
            ring = self._observations.get(field.name)
            arrays[field.name] = (
                last.copy() if ring is None else np.concatenate([ring[rows, battle], last])
            )
        return Units(**arrays), self._actions[rows, battle], self._rewards[rows, battle]

    def get_state(self, steps: int) -> dict[str, np.ndarray]:
        """The last steps as plain arrays, the oldest first.

        Args:
            steps: Number of steps; fewer are returned if fewer have been recorded.
        """
        rows = self._last_rows(min(steps, self._steps, len(self._rewards)))
        state = {f"observations.{name}": ring[rows] for name, ring in self._observations.items()}
        return state | {"actions": self._actions[rows], "rewards": self._rewards[rows]}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores the steps that ``get_state`` returned."""
        self._steps = len(state["rewards"])
        rows = self._last_rows(self._steps)
        for name, ring in self._observations.items():
            ring[rows] = state[f"observations.{name}"]
        self._actions[rows] = state["actions"]
        self._rewards[rows] = state["rewards"]

    def _last_rows(self, steps: int) -> IntArray:
        """[steps] the rows of the last steps, the oldest first."""
        return np.arange(self._steps - steps, self._steps) % len(self._rewards)
