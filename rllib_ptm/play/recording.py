"""Records the last steps of N episodes, and cuts finished episodes out of the record.

Shape legend: ``N`` episodes side by side, ``A`` agents, ``T`` steps of an episode.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from rllib_ptm.environment.contract import (
    PRESENT,
    BoolArray,
    FloatArray,
    IntArray,
    Record,
    TeamSpec,
)

_FIRST_ROWS = 128  # grows if an episode is longer


class Recording:
    """Ring buffers of records, actions and rewards.

    Every buffer has one row per step, as many as the longest episode so far needs.

    Args:
        record: A record of the N episodes, for its shapes.
        moving: The names of its arrays that change within an episode.
        spec: The sizes of the game.
    """

    def __init__(self, record: Record, moving: Collection[str], spec: TeamSpec) -> None:
        num_envs = len(record[PRESENT])
        self._rings = {name: _ring(array) for name, array in record.items() if name in moving}
        self._actions = _ring(np.zeros((num_envs, spec.agents), np.min_scalar_type(-spec.actions)))
        self._rewards = _ring(np.zeros(num_envs, np.float32))
        self._steps = 0  # recorded so far
        self._lengths = np.zeros(num_envs, np.int64)  # [N] steps of the episodes in progress

    @property
    def lengths(self) -> IntArray:
        """[N] the number of steps of each episode in progress."""
        return self._lengths

    def begin(self, envs: IntArray) -> None:
        """Begins new episodes in these places."""
        self._lengths[envs] = 0

    def add(
        self, record: Record, actions: IntArray, rewards: FloatArray, playing: BoolArray
    ) -> None:
        """Records one step of all N episodes.

        Args:
            record: What the actions were chosen from.
            actions: [N, A].
            rewards: [N], which followed the actions.
            playing: [N] True = there is an episode in this place.
        """
        if self._lengths.max() >= len(self._rewards):
            self._grow()
        row = self._steps % len(self._rewards)
        for name, ring in self._rings.items():
            ring[row] = record[name]
        self._actions[row] = actions
        self._rewards[row] = rewards
        self._steps += 1
        self._lengths += playing

    def cut(self, env: int, final: Record) -> tuple[Record, np.ndarray, FloatArray]:
        """Cuts out the episode of one place, which may be over or still go on.

        Args:
            env: The place.
            final: The record after the last step, [N, ...].

        Returns:
            The fields of ``TeamEpisode``: T + 1 records, actions [T, A], rewards [T].
        """
        rows = self._last_rows(int(self._lengths[env]))
        cut = {}
        for name, array in final.items():
            last = array[env : env + 1]
            ring = self._rings.get(name)
            cut[name] = last.copy() if ring is None else np.concatenate([ring[rows, env], last])
        return cut, self._actions[rows, env], self._rewards[rows, env]

    def get_state(self) -> dict[str, np.ndarray]:
        """The steps of the episodes in progress as plain arrays, the oldest first."""
        rows = self._last_rows(min(int(self._lengths.max()), self._steps))
        state = {f"records.{name}": ring[rows] for name, ring in self._rings.items()}
        return state | {
            "actions": self._actions[rows],
            "rewards": self._rewards[rows],
            "lengths": self._lengths.copy(),
        }

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores the steps that ``get_state`` returned."""
        self._lengths = state["lengths"].copy()
        self._steps = 0
        while len(state["rewards"]) > len(self._rewards):
            self._grow()
        self._steps = len(state["rewards"])
        rows = self._last_rows(self._steps)
        for name, ring in self._rings.items():
            ring[rows] = state[f"records.{name}"]
        self._actions[rows] = state["actions"]
        self._rewards[rows] = state["rewards"]

    def _last_rows(self, steps: int) -> IntArray:
        """[steps] the rows of the last steps, the oldest first."""
        return np.arange(self._steps - steps, self._steps) % len(self._rewards)

    def _grow(self) -> None:
        """Doubles the rows; the recorded ones keep their order."""
        rows = self._last_rows(min(self._steps, len(self._rewards)))
        self._rings = {name: _doubled(ring, rows) for name, ring in self._rings.items()}
        self._actions = _doubled(self._actions, rows)
        self._rewards = _doubled(self._rewards, rows)
        self._steps = len(rows)


def _ring(like: np.ndarray) -> np.ndarray:
    return np.zeros((_FIRST_ROWS, *like.shape), like.dtype)


def _doubled(ring: np.ndarray, rows: IntArray) -> np.ndarray:
    """A ring of twice the size that begins with these rows."""
    doubled = np.zeros((2 * len(ring), *ring.shape[1:]), ring.dtype)
    doubled[: len(rows)] = ring[rows]
    return doubled
