"""Every private name of Ray and RLlib that this package uses.

A private name may change in any release of Ray, so all of them stand here, with the version in
which each was read. ``CALLED`` lists what is called or read, always through a function of this
module. ``OVERRIDDEN`` lists methods of RLlib that our classes override; RLlib calls them.
``INTERNAL`` lists what has no underscore but no stable interface either.

``tests/package/test_ray_private.py`` checks that each name is still there, and that no other
module uses one that is missing here. To move to another release of Ray: run that test, read the
source of each name again, then change ``READ_IN``.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.job_config import JobConfig
    from ray.rllib.core.learner.learner import Learner
    from ray.rllib.core.learner.learner_group import LearnerGroup
    from ray.rllib.env.env_runner_group import EnvRunnerGroup
    from ray.rllib.utils.checkpoints import Checkpointable
    from ray.tune import CheckpointConfig, Trainable
    from ray.tune.experiment import Trial

READ_IN = "2.60.0"


class PrivateName(NamedTuple):
    """One name.

    Attributes:
        owner: The module that defines it, or ``module:Class``.
        name: The function, method or attribute.
        purpose: What it is used for.
        read_in: The version of Ray in whose source it was read.
    """

    owner: str
    name: str
    purpose: str
    read_in: str = READ_IN


TUNE_COUNTERS = (
    "_iteration",
    "_iterations_since_restore",
    "_time_total",
    "_time_since_restore",
    "_timesteps_total",
    "_timesteps_since_restore",
    "_episodes_total",
)

_CONFIG = "ray.rllib.algorithms.algorithm_config:AlgorithmConfig"
LEARNER_CLASS, RL_MODULE_SPEC, MODEL_CONFIG = "_learner_class", "_rl_module_spec", "_model_config"

# Argument of a builder method of ``AlgorithmConfig`` -> the private attribute that it sets.
BUILDER_ARGUMENTS = {
    "env_to_module_connector": "_env_to_module_connector",
    "is_atari": "_is_atari",
    "learner_class": LEARNER_CLASS,
    "learner_connector": "_learner_connector",
    "model_config": MODEL_CONFIG,
    "module_to_env_connector": "_module_to_env_connector",
    "rl_module_spec": RL_MODULE_SPEC,
    "train_batch_size_per_learner": "_train_batch_size_per_learner",
}
# What ``AlgorithmConfig`` notes in itself: no settings.
CONFIG_STATE = frozenset(
    {"_is_atari", "_is_frozen", "_per_module_overrides", "_prior_exploration_config"}
)

CALLED = (
    *(
        PrivateName(_CONFIG, name, f"set by the argument {argument!r}; checked like any key")
        for argument, name in BUILDER_ARGUMENTS.items()
    ),
    *(
        PrivateName(_CONFIG, name, "the config's own state, which is no setting")
        for name in sorted(CONFIG_STATE - set(BUILDER_ARGUMENTS.values()))
    ),
    PrivateName(
        "ray._private.utils",
        "get_num_cpus",
        "counts the CPUs of a container as ray.init() does; there is no public way",
    ),
    PrivateName(
        "ray.job_config:JobConfig",
        "_py_driver_sys_path",
        "folders on the import path of a job's processes; an environment variable would put them "
        "before Python's own library",
    ),
    PrivateName(
        "ray.rllib.algorithms.algorithm_config:AlgorithmConfig",
        "_translate_special_keys",
        "maps keys of a config dict to attributes: 'callbacks' -> 'callbacks_class'",
    ),
    PrivateName(
        "ray.rllib.core.learner.learner_group:LearnerGroup",
        "_worker_manager",
        "replaced by a manager with a time limit: RLlib waits for its learners without one",
    ),
    PrivateName(
        "ray.rllib.core.learner.learner_group:LearnerGroup",
        "_workers",
        "the remote learners, which that manager takes over",
    ),
    PrivateName(
        "ray.rllib.core.learner.learner:Learner",
        "_named_optimizers",
        "all optimisers, to set their learning rate after a restore",
    ),
    PrivateName(
        "ray.rllib.core.learner.torch.torch_learner:TorchLearner",
        "_set_optimizer_lr",
        "sets the learning rate of an optimiser",
    ),
    *(
        PrivateName(
            "ray.tune.trainable.trainable:Trainable",
            counter,
            "Tune's count, which a restore replaces before it loads anything",
        )
        for counter in TUNE_COUNTERS
    ),
    PrivateName(
        "ray._raylet",
        "GcsClient",
        "asks quickly whether an address is that of a cluster's head: ray.init() tries for minutes",
    ),
    PrivateName(
        "ray._common.utils",
        "get_default_ray_temp_dir",
        "the folder of Ray's sessions, whose path may be too long",
    ),
    PrivateName(
        "ray._private.state",
        "actors",
        "who holds a cluster's cores; the public list needs the dashboard",
    ),
    PrivateName(
        "ray._private.worker",
        "_global_node",
        "whether this program has started the cluster, and which processes that has",
    ),
    PrivateName(
        "ray._private.services",
        "ConsolePopen",
        "starts Ray's own processes, in the process group of this program",
    ),
    PrivateName(
        "ray._private.node:Node", "dead_processes", "whether a cluster's own processes have ended"
    ),
    PrivateName(
        "ray.rllib.env.env_runner_group:EnvRunnerGroup",
        "_worker_manager",
        "the Ray actors of the env runners, to call, ping and kill a single one",
    ),
    PrivateName(
        "ray.rllib.utils.checkpoints:Checkpointable",
        "_check_component",
        "tells which parts of a state are asked for; RLlib's own get_state methods call it",
    ),
    PrivateName(
        "ray.train._internal.checkpoint_manager",
        "_CheckpointManager",
        "holds a trial's checkpoints, where a resume has to name them again",
    ),
    PrivateName(
        "ray.train._internal.checkpoint_manager:_CheckpointManager",
        "_checkpoint_config",
        "which checkpoints a resumed trial keeps; Tune itself never changes that",
    ),
    PrivateName(
        "ray.train._internal.checkpoint_manager:_CheckpointManager",
        "_checkpoint_results",
        "the results of a trial's checkpoints, to keep less of each in memory",
    ),
    PrivateName(
        "ray.tune.execution.tune_controller:TrialRunnerWrapper",
        "_tune_controller",
        "leads to the answers that Tune keeps",
    ),
    PrivateName(
        "ray.tune.execution.tune_controller:TuneController",
        "_actor_manager",
        "leads to the answers that Tune keeps",
    ),
    PrivateName(
        "ray.air.execution._internal.actor_manager:RayActorManager",
        "_actor_task_events",
        "which answers Tune still waits for",
    ),
    PrivateName(
        "ray.air.execution._internal.actor_manager:RayActorManager",
        "_tracked_actors_to_task_futures",
        "all answers of a trial's process, which keep whole results in memory",
    ),
    PrivateName(
        "ray.air.integrations.mlflow:MLflowLoggerCallback",
        "_trial_runs",
        "MLflow's run of each trial, to continue that of a resumed trial",
    ),
    PrivateName("ray.util.debug", "_logged", "texts of objects, which Tune adds to for ever"),
    PrivateName(
        "ray.train._internal.session",
        "_TrainingResult",
        "a checkpoint and the result of its iteration",
    ),
    PrivateName(
        "ray.tune.registry",
        "_global_registry",
        "the creators of environments, by the names under which users register them",
    ),
    PrivateName(
        "ray.tune.registry:_Registry",
        "_registered",
        "the names that are registered, for the nearest match of one that is not",
    ),
    PrivateName(
        "ray.tune.registry:_Registry",
        "_to_flush",
        "likewise, before Ray has started; what is registered there outlives a cluster",
    ),
)

OVERRIDDEN = (
    PrivateName(
        "ray.rllib.algorithms.algorithm:Algorithm",
        "_before_evaluate",
        "syncs weights and waits; RLlib's own sync may be dropped",
    ),
    PrivateName(
        "ray.rllib.algorithms.algorithm_config:AlgorithmConfig",
        "_model_config_auto_includes",
        "passes PTM's keys to the RLModule",
    ),
    PrivateName(
        "ray.rllib.core.learner.torch.torch_learner:TorchLearner",
        "_update",
        "a gradient step; then PopArt's statistics are updated by the forward pass's targets",
    ),
    PrivateName(
        "ray.rllib.core.rl_module.rl_module:RLModule",
        "_forward",
        "acting; RLlib documents it for overriding",
    ),
    PrivateName(
        "ray.rllib.core.rl_module.rl_module:RLModule",
        "_forward_train",
        "training; RLlib documents it for overriding",
    ),
)

_ENCODED = "tune_func_encode:"  # Tune notes what it has logged once under such a key
STORAGE_MARKER = ".validate_storage_marker"  # _VALIDATE_STORAGE_MARKER_FILENAME

_ACTOR_MANAGER = "ray.rllib.utils.actor_manager:FaultTolerantActorManager"
_ENV_RUNNERS = "ray.rllib.env.env_runner_group:EnvRunnerGroup"

INTERNAL = (
    PrivateName(_ACTOR_MANAGER, "foreach_actor", "overridden: adds the time limit"),
    PrivateName(_ACTOR_MANAGER, "healthy_actor_ids", "overridden: a lost learner is an error"),
    PrivateName(_ACTOR_MANAGER, "actor_ids", "numbers of all learners"),
    PrivateName(_ACTOR_MANAGER, "num_actors", "number of learners"),
    PrivateName(_ACTOR_MANAGER, "actors", "the Ray actors by number"),
    PrivateName(
        _ACTOR_MANAGER,
        "set_actor_state",
        "marks a learner that raised as healthy, and a runner that hangs as lost",
    ),
    PrivateName(_ENV_RUNNERS, "foreach_env_runner", "plays, evaluates, saves and restores"),
    PrivateName(_ENV_RUNNERS, "healthy_env_runner_ids", "which runners evaluate"),
    PrivateName(_ENV_RUNNERS, "healthy_worker_ids", "which runners save their episodes"),
    PrivateName(_ENV_RUNNERS, "local_env_runner", "plays if there is no remote one"),
    PrivateName(_ENV_RUNNERS, "num_remote_env_runners", "whether the local one plays"),
    PrivateName(_ENV_RUNNERS, "reset", "ends the processes of all remote runners"),
    PrivateName(_ENV_RUNNERS, "sync_weights", "with a time limit, or RLlib drops syncs"),
    PrivateName("ray.rllib.callbacks.utils", "make_callback", "calls the user's callbacks"),
    PrivateName(
        "ray.train._internal.storage",
        "_VALIDATE_STORAGE_MARKER_FILENAME",
        "the file by which Tune sees that a run's folder is still there",
    ),
    PrivateName(
        "ray.train._internal.storage", "StorageContext", "where a trial of a resumed run is stored"
    ),
    PrivateName(
        "ray.tune.utils.serialization", "TuneFunctionDecoder", "reads Tune's experiment state"
    ),
    PrivateName("ray.rllib.core.learner.utils", "make_target_network", "copies an online network"),
)


def container_cpus() -> int:
    """The number of CPUs that ``ray.init()`` would count: a container's limit, if there is one."""
    from ray._private.utils import get_num_cpus

    return int(get_num_cpus())


def job_with_folders(folders: Sequence[str]) -> JobConfig:
    """A job whose processes have these folders on their import path."""
    from ray.job_config import JobConfig

    return JobConfig(_py_driver_sys_path=list(folders))


def actor_table() -> list[tuple[str, str]]:
    """The class and the job of each actor that is alive in the cluster."""
    from ray._private.state import actors

    alive = (actor for actor in actors().values() if actor["State"] == "ALIVE")
    return [(actor["ActorClassName"], actor["JobID"]) for actor in alive]


def starts_cluster() -> bool:
    """Whether this process has started the Ray cluster that it uses."""
    from ray._private import worker

    node = worker._global_node
    return node is not None and node.head


@contextmanager
def in_own_process_groups() -> Iterator[None]:
    """Gives the processes that Ray starts in this block process groups of their own.

    A signal to this program's group, as from ``timeout`` or a cluster's manager, then reaches this
    program alone, which still needs them to save a checkpoint. On Linux the kernel ends them with
    this program; elsewhere Ray needs the common group for that.

    If the block fails, what it has started is ended. Ray itself leaves it to run beside a second
    attempt.
    """
    from ray._private import services

    start, started = services.ConsolePopen, list[Any]()
    group = {"process_group": 0} if sys.platform.startswith("linux") else {}

    def start_apart(*arguments: Any, **options: Any) -> Any:
        started.append(start(*arguments, **options, **group))
        return started[-1]

    services.ConsolePopen = start_apart
    try:
        yield
    except BaseException:
        for process in started:
            process.kill()
        raise
    finally:
        services.ConsolePopen = start


def ended_ray_processes() -> dict[str, int]:
    """The processes of this program's own cluster that have ended, with their exit codes."""
    from ray._private import worker

    node = worker._global_node
    if node is None or not node.head:
        return {}
    return {name: process.returncode for name, process in node.dead_processes()}


def check_ray_head(address: str) -> None:
    """Raises an error of Ray's if a gRPC server is not the head of a cluster.

    Args:
        address: ``HOST:PORT``, where a gRPC server answers.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # it is not in Python

    GcsClient(address=address)


def uses_tls() -> bool:
    """Whether Ray encrypts its connections."""
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")


def default_ray_folder() -> str:
    """The folder in which Ray makes a folder for each session."""
    from ray._common.utils import get_default_ray_temp_dir

    return get_default_ray_temp_dir()


def registered_creator(name: str) -> Callable[[Any], Any] | None:
    """The creator of the environment that is registered under a name; None if there is none."""
    from ray.tune.registry import ENV_CREATOR, _global_registry

    if not _global_registry.contains(ENV_CREATOR, name):
        return None
    creator: Callable[[Any], Any] = _global_registry.get(ENV_CREATOR, name)
    return creator


def registered_environments() -> list[str]:
    """The names of the environments that this process has registered."""
    from ray.tune.registry import ENV_CREATOR, _global_registry

    pairs = {*_global_registry._registered, *_global_registry._to_flush}
    return sorted(name for category, name in pairs if category == ENV_CREATOR)


@contextmanager
def kept_registrations() -> Iterator[None]:
    """Keeps what is registered before a cluster starts, where Ray forgets it as the cluster ends.

    A cluster may start and end inside.
    """
    from ray.tune.registry import _global_registry

    waiting = dict(_global_registry._to_flush)
    try:
        yield
    finally:
        _global_registry._to_flush.update(waiting)


def config_attribute(key: str) -> str:
    """The attribute of an ``AlgorithmConfig`` that a key of a config dict sets."""
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

    return AlgorithmConfig._translate_special_keys(key, warn_deprecated=False)


def replace_learner_manager(group: LearnerGroup, manager: Callable[[list[Any]], Any]) -> None:
    """Replaces the object through which a group of remote learners is called.

    Args:
        group: The learners; they must be remote.
        manager: Makes the new object from the list of Ray actors.
    """
    group._worker_manager = manager(group._workers)


def runner_actors(group: EnvRunnerGroup) -> dict[int, Any]:
    """The Ray actors of a group's remote env runners, by the runners' numbers."""
    return group._worker_manager.actors()


def mark_lost(group: EnvRunnerGroup, runner: int) -> None:
    """Lets RLlib count an env runner as lost: it makes no more calls to it, and waits for none."""
    group._worker_manager.set_actor_state(runner, healthy=False)


def mlflow_run_ids(callback: MLflowLoggerCallback) -> dict[Trial, str]:
    """The MLflow run of each trial: Ray's own table, to which runs may be added."""
    runs: dict[Trial, str] = callback._trial_runs
    return runs


def set_learning_rate(learner: Learner, lr: float) -> None:
    """Sets the learning rate of all optimisers of a learner."""
    for optimizer in learner._named_optimizers.values():
        learner._set_optimizer_lr(optimizer, lr=lr)


def tune_counters(trainable: Trainable) -> dict[str, Any]:
    """Tune's counts of iterations, seconds, steps and episodes."""
    return {name: getattr(trainable, name) for name in TUNE_COUNTERS}


def set_tune_counters(trainable: Trainable, counters: dict[str, Any]) -> None:
    """Sets what ``tune_counters`` returned."""
    for name, value in counters.items():
        setattr(trainable, name, value)


def is_requested(
    owner: Checkpointable,
    component: str,
    components: str | Collection[str] | None,
    not_components: str | Collection[str] | None,
) -> bool:
    """Whether a call of ``get_state`` asks for a component.

    Args:
        owner: The object whose state is asked for.
        component: The component's name.
        components: What the call asks for; None = everything.
        not_components: What the call leaves out.
    """
    return owner._check_component(component, components, not_components)


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
