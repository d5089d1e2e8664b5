"""Writes and reads checkpoints of an Algorithm, and lets Tune compare them."""

from __future__ import annotations

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

from rllib_ptm.checkpoints.folder import check_checkpoint, whole_checkpoint
from rllib_ptm.checkpoints.safe_pickles import refuse_code


class WholeCheckpoints(Algorithm):
    """An Algorithm whose checkpoints are complete: it writes no partial one, and loads none."""

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
        """
        if not isinstance(path, Checkpoint):
            check_checkpoint(path, filesystem)
        # Building the classes that a checkpoint names runs their code; its states add no risk.
        return super().from_checkpoint(path, filesystem, **{"trusted": True, **kwargs})

    def restore_from_path(
        self, path: Any, *args: Any, trusted: bool = False, **kwargs: Any
    ) -> None:
        """Restores a checkpoint.

        Args:
            path: The checkpoint's folder.
            *args: RLlib's arguments.
            trusted: Whether to load states that could run code; see ``safe_pickles``.
            **kwargs: RLlib's arguments.

        Raises:
            CheckpointError: It is incomplete, damaged, not one of PTM, or would run code.
        """
        filesystem = kwargs.get("filesystem")
        if kwargs.get("component") is None:
            check_checkpoint(path, filesystem)
        if not trusted:
            refuse_code(path, filesystem)
        super().restore_from_path(path, *args, **kwargs)


def flat_scores(result: dict[str, Any]) -> dict[str, Number]:
    """The scores of a result by their path, such as ``env_runners/win_rate_mean``.

    Tune compares checkpoints only by keys on the first level of a result. With
    ``evaluation/env_runners/win_rate_mean`` it would silently keep the newest checkpoints.
    """
    parts = {part: result.get(part, {}) for part in (ENV_RUNNER_RESULTS, EVALUATION_RESULTS)}
    return {key: value for key, value in flatten_dict(parts).items() if isinstance(value, Number)}
