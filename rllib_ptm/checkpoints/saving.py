"""Writes and reads checkpoints of an Algorithm, and lets Tune compare them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Number
from typing import Any, Self

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    EVALUATION_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
)
from ray.tune import Checkpoint
from ray.tune.result import TRAINING_ITERATION
from ray.tune.utils.util import flatten_dict

from rllib_ptm.checkpoints.episodes_in_progress import EpisodesInProgress
from rllib_ptm.checkpoints.folder import CheckpointError, check_checkpoint, whole_checkpoint
from rllib_ptm.checkpoints.safe_pickles import read_state, refuse_code
from rllib_ptm.checkpoints.settings_of_state import check_settings, settings_of_state
from rllib_ptm.ray_private import set_tune_counters, tune_counters
from rllib_ptm.replay.array_files import locate
from rllib_ptm.replay.replay_buffer import ReplayBuffer

SETTINGS = "settings"  # entry of the state


class WholeCheckpoints(Algorithm):
    """An Algorithm whose checkpoints are complete: it writes no partial one, and loads none.

    It restores a checkpoint completely or not at all: after an error it is what it was before.
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
        with whole_checkpoint(path, filesystem, progress) as (filesystem, draft, folder):
            super().save_to_path(draft, filesystem=filesystem, **kwargs)
        return folder

    @classmethod
    def from_checkpoint(cls, path: Any, filesystem: Any = None, **kwargs: Any) -> Self:
        """Builds an algorithm from a checkpoint.

        Raises:
            CheckpointError: It is incomplete, damaged, or not one of PTM.
            InputError: It does not fit the ``config`` that is given.
        """
        if not isinstance(path, Checkpoint):
            check_checkpoint(path, filesystem)
            if (config := kwargs.get("config")) is not None:  # before anything is started
                if isinstance(config, Mapping):
                    config = cls.get_default_config().update_from_dict(dict(config))
                _check_fits(path, filesystem, config, trusted=True)
        # Building the classes that a checkpoint names runs their code; its states add no risk.
        options = {"trusted": True, "stop_on_error": True, **kwargs}
        return super().from_checkpoint(path, filesystem, **options)

    def restore(self, checkpoint_path: Any) -> None:
        """Restores a checkpoint with the counters of Tune's result, as Tune calls it."""
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
        """Restores a checkpoint.

        Args:
            path: The checkpoint's folder.
            *args: RLlib's arguments.
            trusted: Whether to load states that could run code; see ``safe_pickles``.
            stop_on_error: Whether to stop the algorithm after an error: nobody else can stop what
                ``from_checkpoint`` has built.
            **kwargs: RLlib's arguments.

        Raises:
            CheckpointError: It is incomplete, damaged, not one of PTM, or would run code.
            InputError: It is one of an algorithm with other networks or another optimiser.
        """
        try:
            filesystem = kwargs.get("filesystem")
            if kwargs.get("component") is None:
                check_checkpoint(path, filesystem)
            if not trusted:
                refuse_code(path, filesystem)
            if kwargs.get("component") is None:
                _check_fits(path, filesystem, self.config, trusted=trusted)
            with self._all_or_nothing():
                super().restore_from_path(path, *args, **kwargs)
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


def flat_scores(result: dict[str, Any]) -> dict[str, Number]:
    """The scores of a result by their path, such as ``env_runners/win_rate_mean``.

    Tune compares checkpoints only by keys on the first level of a result. With
    ``evaluation/env_runners/win_rate_mean`` it would silently keep the newest checkpoints.
    """
    parts = {part: result.get(part, {}) for part in (ENV_RUNNER_RESULTS, EVALUATION_RESULTS)}
    return {key: value for key, value in flatten_dict(parts).items() if isinstance(value, Number)}


def _check_fits(path: Any, filesystem: Any, config: Any, *, trusted: bool) -> None:
    """Checks that a checkpoint fits a config, before anything of it is restored."""
    filesystem, folder = locate(path, filesystem)
    file = f"{folder}/{Algorithm.STATE_FILE_NAME}.pkl"
    state = read_state(file, filesystem, trusted=trusted)
    if SETTINGS not in state:
        raise CheckpointError(f"{folder}: an older version of rllib_ptm wrote this checkpoint")
    check_settings(state[SETTINGS], settings_of_state(config))
