"""Checks the keys of a config dict: RLlib itself accepts a misspelt one without a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from envs.errors import InputError, unknown_name
from envs.settings import check_value, read_config, setting
from envs.starcraft.backends import EnvSettings
from rllib_ptm.config.ptm_keys import PTMSettings
from rllib_ptm.ray_private import config_attribute

_Rule = tuple[Any, dict[str, Any]]
_COUNT = {"at_least": 0}
_AMOUNT: _Rule = (float, _COUNT)
_SECONDS: _Rule = (float, {"above": 0.0})
_SWITCH: _Rule = (bool, {})
_MAPPING: _Rule = (dict, {})

# RLlib's keys that do something here, with what is legal. Those that take Python objects, such as
# classes, are in ``_OBJECT_KEYS``; all the others would change nothing, and are refused.
RLLIB_KEYS: dict[str, _Rule] = {
    # Training
    "lr": (float | list, {"above": 0.0}),
    "gamma": (float, {"at_least": 0.0, "at_most": 1.0}),
    "grad_clip": (float | None, {"above": 0.0}),
    "grad_clip_by": (str, {"one_of": ("global_norm", "norm", "value")}),
    "seed": (int | None, {"at_least": 0, "at_most": 2**31}),  # more is added for each runner
    "explore": _SWITCH,
    "learner_config_dict": _MAPPING,
    "algorithm_config_overrides_per_module": _MAPPING,
    "torch_ddp_kwargs": _MAPPING,
    # Env runners
    "num_env_runners": (int, {"at_least": 0, "at_most": 10_000}),
    "num_envs_per_env_runner": (int, {"at_least": 1, "at_most": 65_536}),
    "num_cpus_per_env_runner": _AMOUNT,
    "num_gpus_per_env_runner": _AMOUNT,
    "custom_resources_per_env_runner": _MAPPING,
    "create_local_env_runner": _SWITCH,
    "validate_env_runners_after_construction": _SWITCH,
    "max_requests_in_flight_per_env_runner": (int, {"at_least": 1}),
    "sample_timeout_s": _SECONDS,
    "merge_env_runner_states": (bool | str, {}),
    "broadcast_env_runner_states": _SWITCH,
    # Learners
    "num_learners": (int, {"at_least": 0, "at_most": 1_000}),
    "num_gpus_per_learner": _AMOUNT,
    "num_cpus_per_learner": _AMOUNT,
    "custom_resources_per_learner": _MAPPING,
    "local_gpu_idx": (int, _COUNT),
    # The main process
    "num_cpus_for_main_process": (int, _COUNT),
    "custom_resources_for_main_process": _MAPPING,
    "placement_strategy": (
        str,
        {"one_of": ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")},
    ),
    "framework_str": (str, {"one_of": ("torch",)}),
    "enable_rl_module_and_learner": (bool, {}),
    "enable_env_runner_and_connector_v2": (bool, {}),
    "env": (str | None, {}),
    # Evaluation
    "evaluation_interval": (int | None, {"at_least": 1}),
    "evaluation_num_env_runners": (int, {"at_least": 0, "at_most": 10_000}),
    "evaluation_duration": (int, {"at_least": 1}),  # of each task; "auto" would not be fair
    "evaluation_duration_unit": (str, {"one_of": ("episodes",)}),
    "evaluation_parallel_to_training": _SWITCH,
    "evaluation_sample_timeout_s": _SECONDS,
    "evaluation_error_after_n_consecutive_skips": (int | None, {"at_least": 1}),
    "evaluation_config": (dict | None, {}),
    # Reports
    "min_time_s_per_iteration": (float | None, _COUNT),
    "min_sample_timesteps_per_iteration": (int, _COUNT),
    "min_train_timesteps_per_iteration": (int, _COUNT),
    "metrics_num_episodes_for_smoothing": (int, {"at_least": 1}),
    "log_gradients": _SWITCH,
    "log_level": (str, {"one_of": ("DEBUG", "INFO", "WARN", "ERROR")}),
    "log_sys_usage": _SWITCH,
    # Fault tolerance
    "restart_failed_env_runners": _SWITCH,
    "ignore_env_runner_failures": _SWITCH,
    "max_num_env_runner_restarts": (int, _COUNT),
    "delay_between_env_runner_restarts_s": _AMOUNT,
    "num_consecutive_env_runner_failures_tolerance": (int, _COUNT),
    "env_runner_health_probe_timeout_s": _SECONDS,
    "env_runner_restore_timeout_s": _SECONDS,
}

# RLlib's keys that take what only Python can say.
_OBJECT_KEYS = frozenset(
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

# RLlib's keys that would change nothing here, and what to use instead.
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


def check_keys(config: AlgorithmConfig, values: Mapping[str, Any]) -> None:
    """Checks keys and values before they are set.

    Args:
        config: The config as it is.
        values: What is to be set.

    Raises:
        InputError: An unknown key, a value of the wrong type or range, or a key of RLlib's that
            would change nothing.
    """
    for key, value in values.items():
        name = _attribute(key)
        # Tune adds keys of its own with two underscores, a checkpoint its class.
        if name != "class" and not name.startswith("__"):
            _check_key(config, key, name, value)
    read_config(PTMSettings, {k: v for k, v in values.items() if k in ptm_keys()}, place="config")
    if "env_config" in values:
        read_config(EnvSettings, values["env_config"], "env_config")


def _attribute(key: Any) -> str:
    """The attribute of a config that a key stands for."""
    if not isinstance(key, str):
        raise InputError(f"config: expected keys that are names, found {key!r}")
    return config_attribute(key)


def _check_key(config: AlgorithmConfig, key: str, name: str, value: Any) -> None:
    known = vars(config)
    if name not in known and name not in REPLACED_KEYS:
        others = [k for k in known if not k.startswith("_") and k not in REPLACED_KEYS]
        legal = {*ptm_keys(), *RLLIB_KEYS, "env_config"}
        raise unknown_name(f"config.{key}", key, legal, also=others)
    if name in _object_keys():
        _check_object(f"config.{key}", name, value)
        return
    if name in known and _same(value, known[name]):
        return
    if name in REPLACED_KEYS:
        raise InputError(
            f"config.{key}: it changes nothing here; use {REPLACED_KEYS[name]} instead"
        )
    if name in RLLIB_KEYS:
        hint, rules = RLLIB_KEYS[name]
        check_value(f"config.{key}", value, hint, setting(None, "", **rules).metadata)
        if name.startswith("custom_resources_"):
            _check_resources(f"config.{key}", value)
    elif name in _unused_keys():
        raise InputError(
            f"config.{key}: RLlib has it, but it changes nothing in PTM; leave it out, found "
            f"{value!r:.100}"
        )


def _same(value: Any, default: Any) -> bool:
    """Whether a value is the one that is there; True is not 1."""
    return type(value) is type(default) and bool(value == default)


def _check_resources(place: str, resources: Mapping[str, Any]) -> None:
    """Names and amounts, as Ray asks for them."""
    amount = setting(None, "", above=0.0).metadata
    for resource, value in resources.items():
        if not isinstance(resource, str) or resource in ("", "CPU", "GPU"):
            raise InputError(
                f"{place}: expected names of resources other than CPU and GPU, found {resource!r}"
            )
        check_value(f"{place}.{resource}", value, float, amount)


def _check_object(place: str, name: str, value: Any) -> None:
    by_name = isinstance(value, str) and name == "callbacks_class"  # "package.module.Class"
    if isinstance(value, (bool, int, float, str)) and not by_name:
        raise InputError(f"{place}: expected an object of Python's, found {value!r}")


@cache
def _public_keys() -> frozenset[str]:
    return frozenset(key for key in vars(AlgorithmConfig()) if not key.startswith("_"))


@cache
def _object_keys() -> frozenset[str]:
    return _OBJECT_KEYS | {key for key in _public_keys() if key.startswith("callbacks_on_")}


@cache
def _unused_keys() -> frozenset[str]:
    """RLlib's public keys that nothing here reads."""
    return _public_keys() - {*RLLIB_KEYS, "env_config"} - _object_keys()


def ptm_keys() -> set[str]:
    """The names of PTM's own keys."""
    return {field.name for field in fields(PTMSettings)}
