"""Keeps the last whole episodes, as compactly as they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rllib_ptm.episodes import TeamEpisode


class ReplayBuffer:
    """The last ``capacity_episodes`` episodes; the oldest gives way to the newest.

    Args:
        capacity_episodes: How many it holds.
    """

    def __init__(self, capacity_episodes: int) -> None:
        self.capacity_episodes = capacity_episodes
        self._episodes: list[TeamEpisode] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._episodes)

    def add(self, episodes: Sequence[TeamEpisode]) -> None:
        """Adds episodes, one after the other."""
        for episode in episodes:
            if len(self._episodes) < self.capacity_episodes:
                self._episodes.append(episode)
            else:
                self._episodes[self._next] = episode
            self._next = (self._next + 1) % self.capacity_episodes

    def sample(self, num_episodes: int, rng: np.random.Generator) -> list[TeamEpisode]:
        """Draws different episodes uniformly; fewer where the buffer holds fewer."""
        size = min(num_episodes, len(self._episodes))
        return [self._episodes[i] for i in rng.choice(len(self._episodes), size, replace=False)]
