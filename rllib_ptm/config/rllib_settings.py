"""RLlib's config keys: which of them mean something in PTM, and what is legal for each.

RLlib itself accepts misspelt keys and wrong values in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypedDict, get_type_hints

from pydantic import Field

from rllib_ptm.checks.errors import InputError, Problems, shown
from rllib_ptm.checks.settings import Settings, check_value, one_of, read_settings
from rllib_ptm.config.rate_schedules import check_schedule

_SMALLEST_AMOUNT = 0.0001
Amount = Annotated[float, Field(ge=0, le=10_000)]  # of CPUs, GPUs and other resources
Rate = Annotated[float, Field(gt=0, le=1000)]
Seconds = Annotated[float, Field(ge=0, le=10**8)]
TimeLimit = Annotated[float, Field(gt=0, le=10**8)]
Count = Annotated[int, Field(ge=0, le=10**12)]
AtLeastOne = Annotated[int, Field(ge=1, le=10**9)]
Runners = Annotated[int, Field(ge=0, le=10_000)]


class RLlibSettings(TypedDict, total=False):
    """RLlib's keys that have an effect in PTM.

    Those that take Python objects are in ``object_settings``. All others have no effect and are
    refused. The defaults are RLlib's, or those of ``PTMConfig``.
    """

    # Training
    lr: Rate | list | tuple
    gamma: Annotated[float, Field(ge=0.0, le=1.0)]
    grad_clip: Annotated[float, Field(gt=0, le=1e30)] | None
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
    sample_timeout_s: TimeLimit
    # Learners
    num_learners: Annotated[int, Field(ge=0, le=1_000)]
    num_gpus_per_learner: Amount
    num_cpus_per_learner: Amount
    custom_resources_per_learner: dict
    local_gpu_idx: Annotated[int, Field(ge=0, le=1_000)]
    # The main process
    num_cpus_for_main_process: Runners
    custom_resources_for_main_process: dict
    placement_strategy: Annotated[str, one_of(("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"))]
    framework_str: Annotated[str, one_of(("torch",))]
    env: str | None
    # Evaluation
    evaluation_interval: AtLeastOne | None
    evaluation_num_env_runners: Runners
    evaluation_duration: Annotated[
        int, Field(ge=1, le=10**6)
    ]  # of each task; "auto" would favour short episodes
    evaluation_duration_unit: Annotated[str, one_of(("episodes",))]
    evaluation_parallel_to_training: bool
    evaluation_sample_timeout_s: TimeLimit
    evaluation_error_after_n_consecutive_skips: AtLeastOne | None
    evaluation_config: dict | None
    # Reports
    min_time_s_per_iteration: Seconds | None
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
    delay_between_env_runner_restarts_s: Seconds
    env_runner_health_probe_timeout_s: TimeLimit
    env_runner_restore_timeout_s: TimeLimit


RLLIB_KEYS: dict[str, Any] = get_type_hints(RLlibSettings, include_extras=True)  # key -> type

# RLlib's keys that a config of PTM must not change, because PTM is built on them.
REQUIRED_KEYS: dict[str, Any] = {
    "enable_rl_module_and_learner": True,
    "enable_env_runner_and_connector_v2": True,
}

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
    "buffer_size": "buffer_capacity_episodes",
    "lr_schedule": "lr",
    # Names of other libraries
    "learning_rate": "lr",
    "batch_size": "batch_size_episodes",
    # Former names
    "num_rollout_workers": "num_env_runners",
    "num_envs_per_worker": "num_envs_per_env_runner",
    "num_cpus_per_worker": "num_cpus_per_env_runner",
    "num_gpus_per_worker": "num_gpus_per_env_runner",
    "custom_resources_per_worker": "custom_resources_per_env_runner",
    "num_learner_workers": "num_learners",
    "num_cpus_per_learner_worker": "num_cpus_per_learner",
    "num_gpus_per_learner_worker": "num_gpus_per_learner",
    "num_cpus_for_local_worker": "num_cpus_for_main_process",
    "evaluation_num_workers": "evaluation_num_env_runners",
    "num_sgd_iter": "updates_per_episode",
    "sgd_minibatch_size": "batch_size_episodes",
    "recreate_failed_workers": "restart_failed_env_runners",
    "recreate_failed_env_runners": "restart_failed_env_runners",
    "ignore_worker_failures": "ignore_env_runner_failures",
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
    if name in REQUIRED_KEYS:
        raise InputError(
            f"{place}: expected {REQUIRED_KEYS[name]!r} (PTM needs RLlib's new API stack), found "
            f"{shown(value)}"
        )
    if name not in RLLIB_KEYS:
        raise InputError(
            f"{place}: RLlib has it, but it changes nothing in PTM; leave it out, found "
            f"{shown(value)}"
        )
    check_value(place, value, RLLIB_KEYS[name])
    if name in _FURTHER_CHECKS:
        _FURTHER_CHECKS[name](place, value)


def _check_rate(place: str, rate: Any) -> None:
    """A rate may follow a schedule."""
    if isinstance(rate, (list, tuple)):
        check_schedule(place, rate, Rate, Annotated[float, Field(ge=0, le=10**12)])


def _check_amount(place: str, amount: float) -> None:
    """Ray counts resources in steps of 0.0001."""
    if 0 < amount < _SMALLEST_AMOUNT:
        raise InputError(f"{place}: expected 0, or at least {_SMALLEST_AMOUNT}, found {amount!r}")


def _check_gpus(place: str, gpus: float) -> None:
    """Ray shares one GPU, but not several."""
    _check_amount(place, gpus)
    if gpus > 1 and gpus != int(gpus):
        raise InputError(f"{place}: expected a share of one GPU or a whole number, found {gpus!r}")


def _check_resources(place: str, resources: dict[Any, Any]) -> None:
    """Ray's custom resources: names and amounts."""
    problems = Problems()
    for resource, amount in resources.items():
        with problems.collect():
            if not isinstance(resource, str) or resource in ("", "CPU", "GPU"):
                raise InputError(
                    f"{place}: expected names of resources other than CPU and GPU, found "
                    f"{shown(resource)}"
                )
            check_value(f"{place}.{resource}", amount, Annotated[float, Field(gt=0)])
            _check_amount(f"{place}.{resource}", amount)
    problems.raise_if_any()


class _DistributedSettings(Settings):
    """What torch's ``DistributedDataParallel`` lets a user choose."""

    broadcast_buffers: bool = True
    bucket_cap_mb: Annotated[float, Field(gt=0)] | None = None
    find_unused_parameters: bool = False
    gradient_as_bucket_view: bool = False
    static_graph: bool = False


def _check_ddp(place: str, arguments: dict[Any, Any]) -> None:
    read_settings(_DistributedSettings, arguments, place)


_FURTHER_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "lr": _check_rate,
    "torch_ddp_kwargs": _check_ddp,
    "num_cpus_per_env_runner": _check_amount,
    "num_cpus_per_learner": _check_amount,
    "num_gpus_per_env_runner": _check_gpus,
    "num_gpus_per_learner": _check_gpus,
    "custom_resources_per_env_runner": _check_resources,
    "custom_resources_per_learner": _check_resources,
    "custom_resources_for_main_process": _check_resources,
}
