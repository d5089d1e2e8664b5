"""The replay buffer: the last finished episodes, in their compact form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.rllib.utils.checkpoints import Checkpointable

from rllib_ptm.replay.array_files import locate, read_arrays, write_arrays
from rllib_ptm.replay.episodes import TeamEpisode, from_arrays, to_arrays

EPISODES_FILE = "episodes.npz"


class ReplayBuffer(Checkpointable):
    """Holds the last ``capacity_episodes`` episodes; a new one replaces the oldest.

    In a checkpoint it is one file of plain arrays.

    Args:
        capacity_episodes: Largest number of episodes.
    """

    def __init__(self, capacity_episodes: int) -> None:
        self.capacity_episodes = capacity_episodes
        self._episodes: list[TeamEpisode] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._episodes)

    def add(self, episodes: Sequence[TeamEpisode]) -> None:
        """Adds episodes in order."""
        for episode in episodes:
            if len(self._episodes) < self.capacity_episodes:
                self._episodes.append(episode)
            else:
                self._episodes[self._next] = episode
            self._next = (self._next + 1) % self.capacity_episodes

    def sample(self, num_episodes: int, rng: np.random.Generator) -> list[TeamEpisode]:
        """Draws episodes uniformly without replacement; at most as many as the buffer holds."""
        held = len(self._episodes)
        by_age = rng.choice(held, min(num_episodes, held), replace=False)
        # Drawn by age, so that a restored buffer, which starts with the oldest, draws the same.
        return [self._episodes[(self._oldest + age) % held] for age in by_age.tolist()]

    def save_to_path(self, path: Any = None, *, filesystem: Any = None, **kwargs: Any) -> str:
        """Writes the episodes into a folder; see ``Checkpointable.save_to_path``."""
        filesystem, folder = locate(path, filesystem)
        filesystem.create_dir(folder, recursive=True)
        arrays = to_arrays(self._in_order()) if self._episodes else {}
        write_arrays(filesystem, f"{folder}/{EPISODES_FILE}", arrays)
        return folder

    def restore_from_path(self, path: Any, *, filesystem: Any = None, **kwargs: Any) -> None:
        """Reads what ``save_to_path`` wrote; runs no code from the file."""
        filesystem, folder = locate(path, filesystem)
        arrays = read_arrays(filesystem, f"{folder}/{EPISODES_FILE}")
        self._fill(from_arrays(arrays) if arrays else [])

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The episodes, the oldest first."""
        return {"episodes": self._in_order()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what ``get_state`` returned."""
        self._fill(state["episodes"])

    def get_ctor_args_and_kwargs(self) -> tuple[tuple, dict[str, Any]]:
        """The constructor's arguments."""
        return (self.capacity_episodes,), {}

    def _in_order(self) -> list[TeamEpisode]:
        return self._episodes[self._oldest :] + self._episodes[: self._oldest]

    @property
    def _oldest(self) -> int:
        return self._next if len(self._episodes) == self.capacity_episodes else 0

    def _fill(self, episodes: Sequence[TeamEpisode]) -> None:
        self._episodes, self._next = [], 0
        self.add(episodes)
