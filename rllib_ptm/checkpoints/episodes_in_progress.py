"""What the env runners were playing, as a part of a checkpoint: a resumed run plays on exactly.

One file of plain arrays for each env runner. What does not fit any more (other tasks, another
number of battles) or cannot be saved (a backend that keeps its state to itself) begins anew, and
the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow.fs
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.checkpoints import Checkpointable

from rllib_ptm.replay.array_files import locate, read_arrays, write_arrays

logger = logging.getLogger(__name__)

PlayState = dict[str, np.ndarray]


class PlayStates(Checkpointable):
    """Saves and restores the play of all env runners, or of the local one where it plays.

    The first env runner of the run that is resumed takes the place of the first of the run that
    was saved, whether it is local or remote; and so on.

    Args:
        group: The env runners.
        timeout_s: How long to wait for all of them.
    """

    def __init__(self, group: EnvRunnerGroup, timeout_s: float) -> None:
        self._group = group
        self._timeout = timeout_s

    def save_to_path(self, path: Any = None, *, filesystem: Any = None, **kwargs: Any) -> str:
        """Writes a file for each env runner; see ``Checkpointable.save_to_path``."""
        filesystem, folder = locate(path, filesystem)
        filesystem.create_dir(folder, recursive=True)
        for place, state in self._on_each(dict.fromkeys(self._places(), _saved)):
            write_arrays(filesystem, f"{folder}/{_file_of(place)}", state)
        return folder

    def restore_from_path(self, path: Any, *, filesystem: Any = None, **kwargs: Any) -> None:
        """Reads what ``save_to_path`` wrote; runs nothing that is in the files."""
        filesystem, folder = locate(path, filesystem)
        files = filesystem.get_file_info(pyarrow.fs.FileSelector(folder))
        saved = {file.base_name for file in files}
        self.set_state(
            {
                str(place): read_arrays(filesystem, f"{folder}/{_file_of(place)}")
                for place in self._places()
                if _file_of(place) in saved
            }
        )

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Nothing: each env runner's arrays go straight into a file."""
        return {}

    def set_state(self, state: Mapping[str, PlayState]) -> None:
        """Hands each env runner its own."""
        own = {int(place): partial(_play_on, state=saved) for place, saved in state.items()}
        for place, refusal in self._on_each(own):
            if refusal is not None:
                logger.warning("env runner %d begins new battles: %s", place, refusal)

    def get_ctor_args_and_kwargs(self) -> tuple[tuple, dict[str, Any]]:
        """Nothing: it is built with the algorithm whose env runners it holds."""
        return (), {}

    def _places(self) -> list[int]:
        """0 for the local env runner where it plays, else for the first remote one."""
        return [index - 1 for index in self._group.healthy_worker_ids()] or [0]

    def _on_each(self, functions: Mapping[int, Callable[[Any], Any]]) -> list[tuple[int, Any]]:
        """Each place's own function on its env runner: the places and what came of it."""
        if self._group.num_remote_env_runners() == 0:
            return [
                (place, function(self._group.local_env_runner))
                for place, function in functions.items()
            ]
        calls = [partial(_with_place, place=place, function=f) for place, f in functions.items()]
        results = self._group.foreach_env_runner(
            calls,
            kwargs=[{}] * len(calls),
            local_env_runner=False,
            remote_worker_ids=[place + 1 for place in functions],
            timeout_seconds=self._timeout,
        )
        silent = functions.keys() - {place for place, _ in results}
        for place in sorted(silent):
            logger.warning("env runner %d did not answer: its battles begin anew", place)
        return results


def _file_of(place: int) -> str:
    return f"env_runner_{place:04d}.npz"


def _saved(runner: Any) -> PlayState:
    return runner.get_play_state()


def _play_on(runner: Any, state: PlayState) -> str | None:
    return runner.set_play_state(state)


def _with_place(runner: Any, place: int, function: Callable[[Any], Any]) -> tuple[int, Any]:
    return place, function(runner)
