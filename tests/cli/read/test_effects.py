"""An experiment is refused if a key in it changes nothing, or fails once trials run."""

from __future__ import annotations

from typing import Any

import pytest
from searches import PBT, TINY, experiment

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.read.rllib_check import check_with_rllib
from rllib_ptm.config.effects import NEEDS
from rllib_ptm.config.keys import PTM_KEYS, attribute_of
from rllib_ptm.config.rllib_settings import RLLIB_KEYS


def checked(config: dict[str, Any], **more: Any) -> None:
    check_with_rllib(experiment(config={**TINY["config"], **config}, **more))


def mutating(**mutations: Any) -> dict[str, Any]:
    settings = {**PBT["scheduler_config"], "hyperparam_mutations": mutations}
    return {**PBT, "scheduler_config": settings}


NOT_DRAWING = ("qmix_atten", "qmix_atten_reweighted", "refil", "qmix_atten_popart")
WITHOUT_EFFECT: list[tuple[dict[str, Any], str]] = [
    ({"method": "qmix_atten", "mining_lambda": 3.0}, "mining_lambda"),
    ({"method": "refil", "mining_lambda": 3.0}, "mining_lambda"),
    ({"method": "ptm_without_exploration", "alpha_anneal_steps": 9}, "alpha_anneal_steps"),
    ({"mining_alpha": "success", "alpha_anneal_steps": 9}, "alpha_anneal_steps"),
    ({"method": "refil", "mining_alpha": "success"}, "mining_alpha"),
    ({"method": "refil", "mining_scale": "original"}, "mining_scale"),
    ({"task_priority": "uniform", "priority_temperature": 0.1}, "priority_temperature"),
    ({"mining_weights": "uniform", "priority_temperature": 0.1}, "priority_temperature"),
    ({"mining_lambda": 0.0, "mining_scale": "original"}, "mining_scale"),
    ({"mining_lambda": 0.0, "mining_weights": "uniform"}, "mining_weights"),
    ({"mining_lambda": 0.0, "mining_episodes": 2}, "mining_episodes"),
    *(({"method": method, "mining_episodes": 2}, "mining_episodes") for method in NOT_DRAWING),
    ({"mining_lambda": 0.0, "mining_alpha": "success"}, "mining_alpha"),
    ({"mining_lambda": 0.0, "alpha_anneal_steps": 9}, "alpha_anneal_steps"),
    ({"mining_lambda": 0.0, "task_priority": "learning_progress"}, "task_priority"),
    ({"method": "qmix_atten_popart", "task_baseline": "mean"}, "task_baseline"),
    ({"env_config": {"reward_only_positive": True}}, "env_config.reward_only_positive"),
    ({"joint_exploration_steps": 3}, "joint_exploration_steps"),
    ({"joint_exploration_temperature": 1.0}, "joint_exploration_temperature"),
    ({"td_lambda_anneal_steps": 9}, "td_lambda_anneal_steps"),
    ({"explore": False, "epsilon_final": 0.1}, "epsilon_final"),
    ({"mixer": "vdn", "hypernet_dim": 128}, "mixing_dim"),
    ({"grad_clip": None, "grad_clip_by": "norm"}, "grad_clip_by"),
    ({"learner_timeout_s": 3.0}, "learner_timeout_s"),
    ({"custom_resources_per_learner": {"a": 1}}, "custom_resources_per_learner"),
    ({"num_cpus_per_env_runner": 2}, "num_cpus_per_env_runner"),
    ({"evaluation_num_env_runners": 1}, "evaluation_num_env_runners"),
]


@pytest.mark.parametrize(("config", "key"), WITHOUT_EFFECT, ids=[key for _, key in WITHOUT_EFFECT])
def test_a_key_that_changes_nothing_is_named(config: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError, match=rf"config\.{key}: it changes nothing without") as error:
        checked(config)
    assert len(error.value.lines) == 1


@pytest.mark.parametrize(
    "config",
    [
        {
            "method": "qmix_atten",
            "mining_lambda": 10.0,
            "alpha_anneal_steps": 2_000_000,
        },  # defaults
        {"method": {"grid_search": ["qmix_atten", "ptm"]}, "mining_lambda": 3.0},
        {"mining_lambda": {"grid_search": [0.0, 1.0]}, "alpha_anneal_steps": 9},
        {"mining_lambda": 0.0, "task_draw": "priority", "priority_temperature": 0.1},
        {"joint_exploration": {"choice": [0.0, 0.5]}, "joint_exploration_steps": 3},
        {"evaluation_interval": {"grid_search": [None, 2]}, "evaluation_duration": 3},
        {
            "evaluation_interval": 1,
            "evaluation_num_env_runners": 1,
            "num_cpus_per_env_runner": 2,
        },
    ],
)
def test_a_default_and_an_effect_in_one_variant_are_legal(config: dict[str, Any]) -> None:
    checked(config)


def test_a_misspelt_key_is_one_line() -> None:
    with pytest.raises(InputError, match="did you mean 'evaluation_interval'") as error:
        checked({"evaluation_intervall": 1})
    assert len(error.value.lines) == 1


def test_the_table_names_keys_of_a_config() -> None:
    assert {key for need in NEEDS for key in need.keys} <= PTM_KEYS | RLLIB_KEYS.keys()
    assert all(attribute_of(key) == key for need in NEEDS for key in need.keys)


@pytest.mark.parametrize(
    ("mutations", "message"),
    [
        ({"recurrent_dim": [16, 32]}, "recurrent_dim: the checkpoint has 16, the config has 32"),
        ({"optimizer_name": ["adam", "rmsprop"]}, "optimizer_name: the checkpoint has 'adam'"),
        ({"method": ["ptm", "qmix_atten_popart"]}, "method: the checkpoint has 'ptm'"),
        ({"seed": [1, 2]}, "seed: it changes nothing"),
    ],
)
def test_pbt_mutates_only_what_a_checkpoint_fits(mutations: Any, message: str) -> None:
    with pytest.raises(InputError, match=r"hyperparam_mutations\.") as error:
        checked({}, **mutating(**mutations))
    assert message in str(error.value)
    checked({}, **mutating(method=["ptm", "refil"], lr=[0.1, 0.2]))
