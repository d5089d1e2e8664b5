"""A tiny experiment, and its form as a search."""

from __future__ import annotations

from typing import Any

from rllib_ptm.cli.read.experiment import Experiment, read_experiment

TINY: dict[str, Any] = {
    "run": "PTM",
    "env": "multi_task_sc2",
    "stop": {"training_iteration": 4},
    "config": {
        "attention_dim": 16,
        "hypernet_dim": 16,
        "recurrent_dim": 16,
        "mixing_dim": 8,
        "batch_size_episodes": 4,
        "learning_starts_episodes": 4,
        "num_envs_per_env_runner": 4,
        "min_sample_timesteps_per_iteration": 100,
        "env_config": {"tasks": ["2m_vs_2m", "3m_vs_2m"]},
    },
}
PBT: dict[str, Any] = {
    "scheduler": "pbt",
    "scheduler_config": {
        "metric": "env_runners/episode_return_mean",
        "perturbation_interval": 2,
        "quantile_fraction": 0.5,
        "hyperparam_mutations": {"lr": {"loguniform": [1e-4, 1e-2]}},
    },
}


def experiment(**more: Any) -> Experiment:
    return read_experiment("tiny", {**TINY, **more}, "here")
