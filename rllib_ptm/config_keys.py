"""Checks the keys of a config dict: RLlib itself accepts a misspelt one without a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from envs.backends import EnvSettings
from envs.errors import InputError, unknown_name
from envs.typed_config import check_value, read_config, setting
from rllib_ptm.settings import PTMSettings

# RLlib's keys that people set most, with what is legal here.
_COUNT = {"at_least": 0}
RLLIB_KEYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lr": (float | list, {"above": 0.0}),
    "gamma": (float, {"at_least": 0.0, "at_most": 1.0}),
    "grad_clip": (float | None, {"above": 0.0}),
    "seed": (int | None, _COUNT),
    "num_env_runners": (int, _COUNT),
    "num_envs_per_env_runner": (int, {"at_least": 1}),
    "num_learners": (int, _COUNT),
    "num_gpus_per_learner": (float, _COUNT),
    "num_cpus_per_env_runner": (float, _COUNT),
    "num_cpus_for_main_process": (int, _COUNT),
    "evaluation_interval": (int | None, {"at_least": 1}),
    "evaluation_num_env_runners": (int, _COUNT),
    "evaluation_duration": (int, {"at_least": 1}),  # of each task; "auto" would not be fair
    "evaluation_sample_timeout_s": (float, {"above": 0.0}),
    "evaluation_error_after_n_consecutive_skips": (int | None, {"at_least": 1}),
    "evaluation_parallel_to_training": (bool, {}),
    "min_time_s_per_iteration": (float | None, _COUNT),
    "min_sample_timesteps_per_iteration": (int, _COUNT),
    "explore": (bool, {}),
}

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
    known = vars(config)
    for key, value in values.items():
        name = AlgorithmConfig._translate_special_keys(key, warn_deprecated=False)
        # Tune adds keys of its own with two underscores, a checkpoint its class.
        if name not in known and key != "class" and not key.startswith("__"):
            others = [k for k in known if not k.startswith("_") and k not in REPLACED_KEYS]
            legal = {*ptm_keys(), *RLLIB_KEYS, "env_config"}
            raise unknown_name(f"config.{key}", key, legal, also=others)
        if name in REPLACED_KEYS and value != known[name]:
            raise InputError(
                f"config.{key}: it changes nothing here; use {REPLACED_KEYS[name]} instead"
            )
        if name in RLLIB_KEYS:
            hint, rules = RLLIB_KEYS[name]
            check_value(f"config.{key}", value, hint, setting(None, "", **rules).metadata)
    read_config(PTMSettings, {k: v for k, v in values.items() if k in ptm_keys()}, place="config")
    if "env_config" in values:
        read_config(EnvSettings, values["env_config"], "env_config")


def ptm_keys() -> set[str]:
    """The names of PTM's own keys."""
    return {field.name for field in fields(PTMSettings)}
