"""Keeps the last whole episodes, as compactly as they come."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.fs
from ray.rllib.utils.checkpoints import Checkpointable

from rllib_ptm.episodes import TeamEpisode, from_arrays, to_arrays

EPISODES_FILE = "episodes.npz"


class ReplayBuffer(Checkpointable):
    """The last ``capacity_episodes`` episodes; the oldest gives way to the newest.

    In a checkpoint it is one file of plain arrays.

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

    def save_to_path(self, path: Any = None, *, filesystem: Any = None, **kwargs: Any) -> str:
        """Writes the episodes into a folder; see ``Checkpointable.save_to_path``."""
        filesystem, folder = _locate(path, filesystem)
        filesystem.create_dir(folder, recursive=True)
        stream = io.BytesIO()
        arrays: dict[str, Any] = to_arrays(self._in_order()) if self._episodes else {}
        np.savez(stream, **arrays)
        with filesystem.open_output_stream(f"{folder}/{EPISODES_FILE}") as file:
            file.write(stream.getbuffer())
        return folder

    def restore_from_path(self, path: Any, *, filesystem: Any = None, **kwargs: Any) -> None:
        """Reads what ``save_to_path`` wrote; runs nothing that is in the file."""
        filesystem, folder = _locate(path, filesystem)
        with filesystem.open_input_stream(f"{folder}/{EPISODES_FILE}") as file:
            stream = io.BytesIO(file.read())
        with np.load(stream, allow_pickle=False) as arrays:
            self._fill(from_arrays(dict(arrays)) if arrays.files else [])

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The episodes, the oldest first."""
        return {"episodes": self._in_order()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes what ``get_state`` gave."""
        self._fill(state["episodes"])

    def get_ctor_args_and_kwargs(self) -> tuple[tuple, dict[str, Any]]:
        """How to build an empty one."""
        return (self.capacity_episodes,), {}

    def _in_order(self) -> list[TeamEpisode]:
        full = len(self._episodes) == self.capacity_episodes
        oldest = self._next if full else 0
        return self._episodes[oldest:] + self._episodes[:oldest]

    def _fill(self, episodes: Sequence[TeamEpisode]) -> None:
        self._episodes, self._next = [], 0
        self.add(episodes)


def _locate(path: Any, filesystem: Any) -> tuple[Any, str]:
    """The file system and the folder's path on it."""
    folder = pathlib.PurePath(path).as_posix() if isinstance(path, pathlib.PurePath) else str(path)
    if filesystem is None:
        return pyarrow.fs.FileSystem.from_uri(folder)
    return filesystem, folder
