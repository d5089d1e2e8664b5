"""RLlib's config keys: which of them mean something in PTM, and what is legal for each.

RLlib itself accepts misspelt keys and wrong values in silence.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, TypedDict, get_type_hints

from pydantic import Field
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from rllib_ptm.config.callbacks import callback_classes, check_functions
from rllib_ptm.envs.errors import InputError, Problems
from rllib_ptm.envs.settings import check_value, one_of

Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
Runners = Annotated[int, Field(ge=0, le=10_000)]


class RLlibSettings(TypedDict, total=False):
    """RLlib's keys that have an effect in PTM.

    Those that take Python objects are in ``OBJECT_KEYS``. All others have no effect and are
    refused. The defaults are RLlib's, or those of ``PTMConfig``.
    """

    # Training
    lr: Positive | list
    gamma: Annotated[float, Field(ge=0.0, le=1.0)]
    grad_clip: Positive | None
    grad_clip_by: Annotated[str, one_of(("global_norm", "norm", "value"))]
    seed: Annotated[int, Field(ge=0, le=2**31)] | None  # RLlib adds the runner's index
    explore: bool
    learner_config_dict: dict
    algorithm_config_overrides_per_module: dict
    torch_ddp_kwargs: dict
    # Env runners
    num_env_runners: Runners
    num_envs_per_env_runner: Annotated[int, Field(ge=1, le=65_536)]
    num_cpus_per_env_runner: Amount
    num_gpus_per_env_runner: Amount
    custom_resources_per_env_runner: dict
    create_local_env_runner: bool
    validate_env_runners_after_construction: bool
    max_requests_in_flight_per_env_runner: AtLeastOne
    sample_timeout_s: Positive
    merge_env_runner_states: bool | str
    broadcast_env_runner_states: bool
    # Learners
    num_learners: Annotated[int, Field(ge=0, le=1_000)]
    num_gpus_per_learner: Amount
    num_cpus_per_learner: Amount
    custom_resources_per_learner: dict
    local_gpu_idx: Count
    # The main process
    num_cpus_for_main_process: Count
    custom_resources_for_main_process: dict
    placement_strategy: Annotated[str, one_of(("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"))]
    framework_str: Annotated[str, one_of(("torch",))]
    enable_rl_module_and_learner: bool
    enable_env_runner_and_connector_v2: bool
    env: str | None
    # Evaluation
    evaluation_interval: AtLeastOne | None
    evaluation_num_env_runners: Runners
    evaluation_duration: AtLeastOne  # of each task; "auto" would favour short episodes
    evaluation_duration_unit: Annotated[str, one_of(("episodes",))]
    evaluation_parallel_to_training: bool
    evaluation_sample_timeout_s: Positive
    evaluation_error_after_n_consecutive_skips: AtLeastOne | None
    evaluation_config: dict | None
    # Reports
    min_time_s_per_iteration: Amount | None
    min_sample_timesteps_per_iteration: Count
    min_train_timesteps_per_iteration: Count
    metrics_num_episodes_for_smoothing: AtLeastOne
    log_gradients: bool
    log_level: Annotated[str, one_of(("DEBUG", "INFO", "WARN", "ERROR"))]
    log_sys_usage: bool
    # Fault tolerance
    restart_failed_env_runners: bool
    ignore_env_runner_failures: bool
    max_num_env_runner_restarts: Count
    delay_between_env_runner_restarts_s: Amount
    num_consecutive_env_runner_failures_tolerance: Count
    env_runner_health_probe_timeout_s: Positive
    env_runner_restore_timeout_s: Positive


RLLIB_KEYS: dict[str, Any] = get_type_hints(RLlibSettings, include_extras=True)  # key -> type

# RLlib's keys whose values are Python objects.
OBJECT_KEYS = frozenset(
    {
        "algo_class",
        "callbacks_class",
        "custom_evaluation_function",
        "env_runner_cls",
        "policies",
        "policy_mapping_fn",
        "stats_cls_lookup",
    }
)

# RLlib's keys that have no effect in PTM -> what to use instead.
REPLACED_KEYS: dict[str, str] = {
    "train_batch_size": "batch_size_episodes",
    "train_batch_size_per_learner": "batch_size_episodes",
    "minibatch_size": "batch_size_episodes",
    "num_epochs": "updates_per_episode",
    "rollout_fragment_length": "episodes_per_training_step",
    "batch_mode": "episodes_per_training_step",
    "replay_buffer_config": "buffer_capacity_episodes",
    "exploration_config": "epsilon_initial, epsilon_final and epsilon_anneal_steps",
    "optimizer": "optimizer_name",
    "model": "attention_dim, recurrent_dim, hypernet_dim and mixing_dim",
    "num_gpus": "num_gpus_per_learner",
    "evaluation_num_episodes": "evaluation_duration",
    "min_iter_time_s": "min_time_s_per_iteration",
    "timesteps_per_iteration": "min_sample_timesteps_per_iteration",
    "metrics_smoothing_episodes": "metrics_num_episodes_for_smoothing",
}


def check_rllib_key(place: str, name: str, value: Any) -> None:
    """Checks a value for one of RLlib's keys.

    Args:
        place: Where it stands, for messages.
        name: The attribute of an ``AlgorithmConfig`` that the key sets.
        value: What the user wrote.

    Raises:
        InputError: The value is of the wrong type or out of range, or the key has no effect.
    """
    if name in REPLACED_KEYS:
        raise InputError(f"{place}: it changes nothing here; use {REPLACED_KEYS[name]} instead")
    if name in RLLIB_KEYS:
        check_value(place, value, RLLIB_KEYS[name])
        if name.startswith("custom_resources_"):
            _check_resources(place, value)
    elif name in _unused_keys():
        raise InputError(
            f"{place}: RLlib has it, but it changes nothing in PTM; leave it out, found "
            f"{value!r:.100}"
        )


def takes_object(name: str) -> bool:
    """Whether a key of RLlib's takes a Python object."""
    return name in OBJECT_KEYS or name.startswith("callbacks_on_")


def check_object(place: str, name: str, value: Any) -> None:
    """Checks a value for a key that takes a Python object.

    Raises:
        InputError: It is a number, a bool or a string, or no callback.
    """
    if name == "callbacks_class":
        callback_classes(value, place)
    elif name.startswith("callbacks_on_"):
        check_functions(place, name.removeprefix("callbacks_"), value)
    elif isinstance(value, (bool, int, float, str)):
        raise InputError(f"{place}: expected an object of Python's, found {value!r}")


def _check_resources(place: str, resources: dict[Any, Any]) -> None:
    """Ray's custom resources: names and amounts."""
    problems = Problems()
    for resource, amount in resources.items():
        with problems.collect():
            if not isinstance(resource, str) or resource in ("", "CPU", "GPU"):
                raise InputError(
                    f"{place}: expected names of resources other than CPU and GPU, found "
                    f"{resource!r}"
                )
            check_value(f"{place}.{resource}", amount, Positive)
    problems.raise_if_any()


@cache
def _unused_keys() -> frozenset[str]:
    """RLlib's public keys that have no effect in PTM."""
    public = {key for key in vars(AlgorithmConfig()) if not key.startswith("_")}
    used = {*RLLIB_KEYS, "env_config"}
    return frozenset(key for key in public - used if not takes_object(key))
