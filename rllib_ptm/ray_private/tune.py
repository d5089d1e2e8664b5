"""What Tune keeps to itself of a run and its trials: counters, checkpoints, states, answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllib_ptm.ray_private.names import TUNE_COUNTERS

if TYPE_CHECKING:
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune import CheckpointConfig, Trainable
    from ray.tune.experiment import Trial

_ENCODED = "tune_func_encode:"  # Tune notes what it has logged once under such a key


def tune_counters(trainable: Trainable) -> dict[str, Any]:
    """Tune's counts of iterations, seconds, steps and episodes."""
    return {name: getattr(trainable, name) for name in TUNE_COUNTERS}


def set_tune_counters(trainable: Trainable, counters: dict[str, Any]) -> None:
    """Sets what ``tune_counters`` returned."""
    for name, value in counters.items():
        setattr(trainable, name, value)


def tune_state(text: str) -> Any:
    """Decodes a state that Tune wrote. It may run code, as the run that wrote it did."""
    from ray.tune.utils.serialization import TuneFunctionDecoder

    return TuneFunctionDecoder(allow_cloudpickle=True).decode(text)


def trial_storage(trial_folder: Path) -> Any:
    """What Tune needs to know of a trial's place.

    Args:
        trial_folder: The trial's folder, in the folder of its experiment.
    """
    from ray.train._internal.storage import StorageContext

    experiment = trial_folder.parent
    return StorageContext(str(experiment.parent), experiment.name, trial_dir_name=trial_folder.name)


def set_checkpoint_config(trial: Trial, config: CheckpointConfig) -> None:
    """Sets which checkpoints a trial saves and keeps from now on."""
    trial.run_metadata.checkpoint_manager._checkpoint_config = config


def set_checkpoints(
    trial: Trial, saved: Sequence[tuple[Path, Mapping[str, Any]]], config: CheckpointConfig
) -> None:
    """Makes these the checkpoints of a trial; deletes none.

    Args:
        trial: A trial that does not run.
        saved: The checkpoints and the result of each one's iteration; the last is the latest.
        config: Which checkpoints the trial saves and keeps from now on.
    """
    from ray.train._internal.checkpoint_manager import _CheckpointManager
    from ray.train._internal.session import _TrainingResult
    from ray.tune import Checkpoint

    manager = _CheckpointManager(dataclasses.replace(config, num_to_keep=None))
    for path, metrics in saved:
        checkpoint = Checkpoint.from_directory(path)
        manager.register_checkpoint(_TrainingResult(checkpoint=checkpoint, metrics=dict(metrics)))
    trial.run_metadata.checkpoint_manager = manager
    set_checkpoint_config(trial, config)


def shorten_older_results(trial: Trial, kept: Collection[str]) -> None:
    """Leaves only some keys in the results of a trial's checkpoints, except for the newest one.

    A scheduler may hold the result of an older checkpoint, which stays as it is.

    Args:
        trial: The trial.
        kept: Keys on the first level of a result.
    """
    from ray.train._internal.session import _TrainingResult

    manager = trial.run_metadata.checkpoint_manager
    results = manager._checkpoint_results
    for number, result in enumerate(results):
        if result is not manager.latest_checkpoint_result and result.metrics.keys() - kept:
            metrics = {key: result.metrics[key] for key in kept if key in result.metrics}
            results[number] = _TrainingResult(result.checkpoint, metrics)


def forget_handled(controller: Any) -> None:
    """Lets a run of Tune forget what it has handled. Tune keeps it as long as a trial runs.

    These are the answers of a trial's process, whole results among them, and the text of each
    object that Tune once could not write as JSON.

    Args:
        controller: What Tune gives to a scheduler.
    """
    from ray.util import debug

    manager = controller._tune_controller._actor_manager
    open_tasks = manager._actor_task_events.get_futures()
    for futures in manager._tracked_actors_to_task_futures.values():
        futures &= open_tasks
    debug._logged -= {key for key in debug._logged if key.startswith(_ENCODED)}


def mlflow_run_ids(callback: MLflowLoggerCallback) -> dict[Trial, str]:
    """The MLflow run of each trial: Ray's own table, to which runs may be added."""
    runs: dict[Trial, str] = callback._trial_runs
    return runs
