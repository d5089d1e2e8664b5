"""Writes and reads checkpoints of an Algorithm."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, Self

from pyarrow.fs import FileSystem, FileType
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
)
from ray.tune import Checkpoint
from ray.tune.result import TRAINING_ITERATION

from rllib_ptm.checkpoints.contents import CONTENTS_FILE, CheckpointError, read_contents
from rllib_ptm.checkpoints.episodes_in_progress import EpisodesInProgress
from rllib_ptm.checkpoints.folder import whole_checkpoint
from rllib_ptm.checkpoints.safe_pickles import read_state, refuse_code
from rllib_ptm.checkpoints.saved_policy import (
    ALGORITHM_FILES,
    ALGORITHM_MARKER,
    check_algorithm,
    write_policy,
)
from rllib_ptm.checkpoints.settings_of_state import check_settings, settings_of_state
from rllib_ptm.checks.errors import InputError
from rllib_ptm.ray_private.tune import set_tune_counters, tune_counters
from rllib_ptm.replay.array_files import local_path, locate
from rllib_ptm.replay.replay_buffer import ReplayBuffer

SETTINGS = "settings"  # entry of the state


class WholeCheckpoints(Algorithm):
    """An Algorithm whose checkpoints are complete: it writes no partial one, and loads none.

    It restores a checkpoint completely or not at all: after an error it is what it was before.
    A path may be relative, begin with ``~`` or be a URI, everywhere.
    """

    replay_buffer: ReplayBuffer
    episodes_in_progress: EpisodesInProgress
    _restoring = False

    def save_to_path(self, path: Any = None, *, filesystem: Any = None, **kwargs: Any) -> str:
        """Writes a checkpoint completely or not at all; see ``rllib_ptm.checkpoints.folder``."""
        progress = {
            TRAINING_ITERATION: self.iteration,
            NUM_ENV_STEPS_SAMPLED_LIFETIME: int(
                self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
            ),
        }
        with whole_checkpoint(path, filesystem, progress, ALGORITHM_FILES) as place:
            filesystem, draft, folder = place
            super().save_to_path(draft, filesystem=filesystem, **kwargs)
            write_policy(filesystem, draft, self.config, self._policy_weights())
        return folder

    @classmethod
    def from_checkpoint(cls, path: Any, filesystem: Any = None, **kwargs: Any) -> Self:
        """Builds an algorithm from a checkpoint.

        Raises:
            CheckpointError: It is incomplete, damaged, or not one of PTM; or its config needs code
                that is missing here, and no ``config`` is given.
            InputError: It does not fit the ``config`` that is given.
        """
        if isinstance(path, Checkpoint):
            path, filesystem = path.path, path.filesystem
        filesystem, folder = locate(path, filesystem)
        check_algorithm(folder, filesystem)
        if (config := kwargs.get("config")) is not None:  # before anything is started
            if isinstance(config, Mapping):
                config = cls.get_default_config().update_from_dict(dict(config))
            _check_fits(folder, filesystem, config, trusted=True)
            config = config.copy(copy_frozen=False)
            config.warm_start = None  # it gets its own weights back
            kwargs["config"] = config
        # Building the classes that a checkpoint names runs their code; its states add no risk.
        options = {"trusted": True, "stop_on_error": True, **kwargs}
        file = f"{folder}/{cls.CLASS_AND_CTOR_ARGS_FILE_NAME}"
        if missing := _missing_code(file, filesystem):
            if config is None:
                raise CheckpointError(
                    f"{file}: its config needs code that cannot be imported here: {missing}; start "
                    "Python where it can, or pass another config: from_checkpoint(..., config=...)"
                ) from missing
            algorithm = cls(config=options.pop("config"))
            algorithm.restore_from_path(folder, filesystem=filesystem, **options)
            return algorithm
        return super().from_checkpoint(folder, filesystem, **options)

    def get_ctor_args_and_kwargs(self) -> tuple[tuple, dict[str, Any]]:
        """The constructor's arguments; what is built from a checkpoint does not warm start."""
        (config_state, *more), kwargs = super().get_ctor_args_and_kwargs()
        return ({**config_state, "warm_start": None}, *more), kwargs

    def save(self, checkpoint_dir: Any = None) -> Any:
        """Writes a checkpoint as ``save_to_path`` does, and returns Tune's description of it."""
        return super().save(checkpoint_dir and str(local_path(checkpoint_dir)))

    def restore(self, checkpoint_path: Any) -> None:
        """Restores a checkpoint with the counters of Tune's result, as Tune calls it.

        Args:
            checkpoint_path: A path, a ``ray.tune.Checkpoint``, or what ``save`` returned.
        """
        if isinstance(checkpoint_path, (str, PurePath)):
            filesystem, folder = locate(checkpoint_path)
            read_contents(filesystem, folder)  # Tune has an error of its own for a missing folder
            checkpoint_path = Checkpoint(folder, filesystem)
        with self._all_or_nothing():
            super().restore(checkpoint_path)

    def restore_from_path(
        self,
        path: Any,
        *args: Any,
        trusted: bool = False,
        stop_on_error: bool = False,
        **kwargs: Any,
    ) -> None:
        """Restores a checkpoint, or a component of one.

        Args:
            path: The checkpoint's folder; with ``component``, the component's folder.
            *args: RLlib's arguments.
            trusted: Whether to load states that could run code; see ``safe_pickles``.
            stop_on_error: Whether to stop the algorithm after an error: no caller can stop what
                ``from_checkpoint`` has built.
            **kwargs: RLlib's arguments.

        Raises:
            CheckpointError: It is incomplete, damaged, not one of PTM, or would run code.
            InputError: It is one of an algorithm with other networks or another optimiser.
        """
        try:
            filesystem, folder = locate(path, kwargs.get("filesystem"))
            if (component := kwargs.get("component")) is None:
                check_algorithm(folder, filesystem)
            else:
                check_around(folder, filesystem, component)
            if not trusted:
                refuse_code(folder, filesystem)
            if component is None:
                _check_fits(folder, filesystem, self.config, trusted=trusted)
            with _named_damage(folder), self._all_or_nothing():
                super().restore_from_path(folder, *args, **{**kwargs, "filesystem": filesystem})
        except BaseException:
            if stop_on_error:
                self.stop()
            raise

    def set_state(self, state: Any) -> None:
        """Restores what ``get_state`` returned.

        Raises:
            InputError: It is the state of an algorithm with other networks or another optimiser.
        """
        if SETTINGS in state:
            check_settings(state[SETTINGS], settings_of_state(self.config))
        with self._all_or_nothing():
            self._set_checked_state(state)

    def _set_checked_state(self, state: Any) -> None:
        super().set_state(state)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """After an error inside, sets all state back to what it was before."""
        if self._restoring:  # inside another such block
            yield
            return
        counters = tune_counters(self)
        # The arrays of the learner's state are the weights themselves, so they have to be copied.
        state = copy.deepcopy(self.get_state())
        replayed, in_progress = self.replay_buffer.get_state(), self.episodes_in_progress
        played = in_progress.collect()
        self._restoring = True
        try:
            yield
        except BaseException:
            self._set_checked_state(state)
            self.replay_buffer.set_state(replayed)
            in_progress.set_state(played)
            set_tune_counters(self, counters)
            raise
        finally:
            self._restoring = False

    def _policy_weights(self) -> dict[str, Any]:
        """The weights of the networks, as the learner has them."""
        state = self.learner_group.get_state(
            components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}"
        )
        return state[COMPONENT_LEARNER][COMPONENT_RL_MODULE][DEFAULT_MODULE_ID]


def check_around(folder: str, filesystem: Any, component: str) -> None:
    """Checks the algorithm's checkpoint that a component's folder is part of.

    A component that was saved on its own, by RLlib alone, has no list of files to check it by.

    Args:
        folder: The component's folder.
        filesystem: Its file system.
        component: The component, for the message.

    Raises:
        CheckpointError: The checkpoint is incomplete or damaged, or the folder is the whole one.
    """
    if filesystem.get_file_info(folder).type != FileType.Directory:
        raise CheckpointError(f"{folder}: there is no such folder")
    for place in (PurePath(folder), *PurePath(folder).parents):
        marks = [f"{place}/{name}" for name in (CONTENTS_FILE, ALGORITHM_MARKER)]
        if not any(found.is_file for found in filesystem.get_file_info(marks)):
            continue
        if str(place) == folder:
            raise CheckpointError(
                f"{folder}: component={component!r} is restored from its own folder, such as "
                f"{folder}/{component}; this one holds a whole checkpoint"
            )
        check_algorithm(str(place), filesystem)
        return


def _missing_code(file: str, filesystem: FileSystem) -> Exception | None:
    """Why this process cannot load a saved config, if code that it names is missing.

    That can be the user's callbacks. RLlib itself would go on with a config of its own.
    """
    try:
        with filesystem.open_input_stream(file) as stream:
            pickle.load(stream)
    except (ImportError, AttributeError) as error:
        return error
    return None


def _check_fits(path: Any, filesystem: Any, config: Any, *, trusted: bool) -> None:
    """Checks that a checkpoint fits a config, before anything of it is restored."""
    filesystem, folder = locate(path, filesystem)
    file = f"{folder}/{Algorithm.STATE_FILE_NAME}.pkl"
    state = read_state(file, filesystem, trusted=trusted)
    if SETTINGS not in state:
        raise CheckpointError(f"{folder}: an older version of rllib_ptm wrote this checkpoint")
    check_settings(state[SETTINGS], settings_of_state(config))


@contextmanager
def _named_damage(folder: str) -> Iterator[None]:
    """Names the checkpoint where one of its states is not what it should be."""
    try:
        yield
    except InputError:
        raise
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: a state in this checkpoint cannot be restored, and nothing was changed: "
            f"{type(error).__name__}: {error}"
        ) from error
