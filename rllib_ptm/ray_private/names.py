"""Every private name of Ray and RLlib that this package uses.

A private name may change in any release of Ray, so all of them stand here, with the version in
which each was read. ``CALLED`` lists what is called or read, always through a function of this
package. ``OVERRIDDEN`` lists methods of RLlib that our classes override; RLlib calls them.
``INTERNAL`` lists what has no underscore but no stable interface either.

``tests/package/test_ray_private.py`` checks that each name is still there, and that no other
module uses one that is missing here. To move to another release of Ray: run that test, read the
source of each name again, then change ``READ_IN``.
"""

from __future__ import annotations

from typing import NamedTuple

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
