"""Saves and restores the episodes in progress of all env runners, as a part of a checkpoint.

With them a resumed run continues exactly as the interrupted one would have. There is one file of
plain arrays per env runner. New episodes start, and the log says so, if the saved ones no longer
fit (other tasks, another number side by side) or the environment cannot save them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pyarrow.fs
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.checkpoints import Checkpointable

from rllib_ptm.replay.array_files import Arrays, locate, read_arrays, write_arrays

logger = logging.getLogger(__name__)


class EpisodesInProgress(Checkpointable):
    """A component of a checkpoint: the episodes in progress of all env runners.

    Env runners are counted by place: the local one, if it plays, or else the first remote one has
    place 0. The env runner in a place resumes the episodes that were saved for this place.

    Args:
        group: The env runners.
        timeout_s: Time limit for their answers.
    """

    def __init__(self, group: EnvRunnerGroup, timeout_s: float) -> None:
        self._group = group
        self._timeout = timeout_s

    def save_to_path(self, path: Any = None, *, filesystem: Any = None, **kwargs: Any) -> str:
        """Writes a file for each env runner; see ``Checkpointable.save_to_path``."""
        filesystem, folder = locate(path, filesystem)
        filesystem.create_dir(folder, recursive=True)
        for place, state in self.collect().items():
            write_arrays(filesystem, f"{folder}/{_file_of(int(place))}", state)
        return folder

    def collect(self) -> dict[str, Arrays]:
        """Asks each env runner for its episodes; place of the env runner, as text -> arrays."""
        states = self._call_each(dict.fromkeys(self._places(), _save))
        return {str(place): state for place, state in states}

    def restore_from_path(self, path: Any, *, filesystem: Any = None, **kwargs: Any) -> None:
        """Reads what ``save_to_path`` wrote; runs no code from the files."""
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
        """Empty: ``save_to_path`` writes the arrays of each env runner into a file."""
        return {}

    def set_state(self, state: Mapping[str, Arrays]) -> None:
        """Sends each env runner its state.

        Args:
            state: Place of the env runner, as text -> its saved episodes.
        """
        calls = {int(place): partial(_resume, state=saved) for place, saved in state.items()}
        for place, refusal in self._call_each(calls):
            if refusal is not None:
                logger.warning("env runner %d starts new episodes: %s", place, refusal)

    def get_ctor_args_and_kwargs(self) -> tuple[tuple, dict[str, Any]]:
        """Empty: an algorithm builds it together with its env runners."""
        return (), {}

    def _places(self) -> list[int]:
        return [index - 1 for index in self._group.healthy_worker_ids()] or [0]

    def _call_each(self, functions: Mapping[int, Callable[[Any], Any]]) -> list[tuple[int, Any]]:
        """Calls a function for each env runner.

        Args:
            functions: Place -> function of the env runner.

        Returns:
            Places and results of the env runners that answered in time.
        """
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
            logger.warning("env runner %d did not answer in time: its episodes are lost", place)
        return results


def _file_of(place: int) -> str:
    return f"env_runner_{place:04d}.npz"


def _save(runner: Any) -> Arrays:
    return runner.get_episodes_in_progress()


def _resume(runner: Any, state: Arrays) -> str | None:
    return runner.set_episodes_in_progress(state)


def _with_place(runner: Any, place: int, function: Callable[[Any], Any]) -> tuple[int, Any]:
    return place, function(runner)
