"""Every way of setting a key is checked: builder methods, attributes, dicts, search spaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ray import tune
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.tune.search.variant_generator import generate_variants

from rllib_ptm.algorithm import PTM, PTMConfig
from rllib_ptm.checks.errors import InputError
from rllib_ptm.config.builder_methods import BUILDER_METHODS
from rllib_ptm.learn.learner import PTMLearner
from rllib_ptm.learn.rl_module import PTMModule, team_spaces

Build = Callable[[PTMConfig], PTMConfig]

BUILT: list[tuple[Build, str]] = [
    (lambda c: c.env_runners(rollout_fragment_length=7), "rollout_fragment_length.*episodes_per"),
    (lambda c: c.env_runners(observation_filter="MeanStdFilter"), "observation_filter: .*nothing"),
    (lambda c: c.env_runners(sample_timeout_s=-1), "sample_timeout_s: expected more than 0"),
    (lambda c: c.env_runners(num_env_runners="two"), "num_env_runners: expected int, found 'two'"),
    (lambda c: c.env_runners(num_envs_per_env_runner="2"), "num_envs_per_env_runner: expected int"),
    (lambda c: c.env_runners(num_env_runnerz=2), "did you mean 'num_env_runners'"),
    (lambda c: c.env_runners(num_rollout_workers=2), "use num_env_runners instead"),
    (lambda c: c.env_runners(gamma=0.9), r"env_runners\(\): 'gamma' is unknown"),
    (lambda c: c.env_runners(env_runner_cls=dict), "env_runner_cls: .*inherits from TeamEnvRunner"),
    (lambda c: c.env_runners(env_to_module_connector=print), "env_to_module_connector: .*nothing"),
    (lambda c: c.environment(clip_rewards=True), "clip_rewards: .*nothing"),
    (lambda c: c.environment(dict), "env: expected str"),
    (lambda c: c.environment("CartPole-v1"), "env: 'CartPole-v1' is unknown"),
    (lambda c: c.environment(env_config=None), "env_config: expected a mapping"),
    (lambda c: c.environment(env_config={"task": "3m"}), "did you mean 'tasks'"),
    (lambda c: c.training(model={"fcnet_hiddens": [9]}), "model: .*attention_dim"),
    (lambda c: c.training(train_batch_size_per_learner=9), "use batch_size_episodes"),
    (lambda c: c.training(learner_class=dict), "learner_class: .*inherits from PTMLearner"),
    (
        lambda c: c.rl_module(model_config={"fcnet_hiddens": [9]}),
        "model_config.fcnet_hiddens: .*no",
    ),
    (lambda c: c.rl_module(model_config={"mixing_dim": 8}), r"set it with training\(mixing_dim"),
    (lambda c: c.rl_module(rl_module_spec=RLModuleSpec(module_class=dict)), "PTMModule"),
    (lambda c: c.rl_module(rl_module_spec=RLModuleSpec(model_config={"a": 1})), "model_config.a: "),
    (
        lambda c: c.rl_module(rl_module_spec=RLModuleSpec(observation_space=3)),
        "observation_space: expected a space of gymnasium, found 3",
    ),
    (
        lambda c: c.rl_module(rl_module_spec=RLModuleSpec(load_state_path="/no/x")),
        "load_state_path: /no/x: there is no such",
    ),
    (lambda c: c.training(lr=np.array([[0, 0.1], [9, -0.1]])), r"lr\[1\]\[1\]: expected more"),
    (
        lambda c: c.update_from_dict({"model_config": {"mixing_dim": 4}}),
        r"model_config.mixing_dim: set it with training\(mixing_dim",
    ),
    (
        lambda c: c.training(updates_per_episode=0).reporting(min_train_timesteps_per_iteration=9),
        "min_train_timesteps_per_iteration: .*never ends",
    ),
    (lambda c: c.evaluation(evaluation_interval=-5), "evaluation_interval: expected at least 1"),
    (lambda c: c.evaluation(evaluation_duration="auto"), "evaluation_duration: expected int"),
    (lambda c: c.evaluation(evaluation_parallel_to_training=True), "evaluation_num_env_runners"),
    (lambda c: c.debugging(seed=-1), "seed: expected at least 0"),
    (lambda c: c.framework("tf2"), "framework: 'tf2' is unknown"),
    (lambda c: c.multi_agent(policies={"a", "b"}), "policies: .*share one policy"),
    (lambda c: c.multi_agent(policies=["a b!"]), "policies: .*share one policy"),
    (lambda c: c.multi_agent(policy_mapping_fn=print), "policy_mapping_fn: .*share one policy"),
    (lambda c: c.multi_agent(policies_to_train=["a"]), "policies_to_train: .*nothing"),
    (lambda c: c.api_stack(enable_rl_module_and_learner=False), "expected True .*new API stack"),
    (lambda c: c.api_stack(enable_env_runner_and_connector_v2=False), "expected True .*new API"),
    (lambda c: c.resources(num_gpus=1), "use num_gpus_per_learner"),
    (lambda c: c.learners(local_gpu_idx=99), "local_gpu_idx: it changes nothing without"),
    (lambda c: c.training(play_ahead=True), "play_ahead: .*without num_env_runners: 1 or more"),
    (
        lambda c: c.training(play_ahead=True, updates_per_episode=0).env_runners(num_env_runners=1),
        "play_ahead: it changes nothing without updates_per_episode above 0",
    ),
    (lambda c: c.env_runners(create_local_env_runner=False), "create_local_env_runner: .*true"),
    (lambda c: c.env_runners(num_cpus_per_env_runner=1e-9), "expected 0, or at least 0.0001"),
    (lambda c: c.learners(num_gpus_per_learner=1.5), "a share of one GPU or a whole number"),
    (lambda c: c.learners(learner_config_dict={"a": 1}), "learner_config_dict: .*learner_class"),
    (lambda c: c.reporting(custom_stats_cls_lookup={"mean": dict}), "StatsBase|unknown"),
    (lambda c: c.experimental(_validate_config=False), "_validate_config: .*nothing"),
    (lambda c: c.experimental(_torch_lr_scheduler_classes=[print]), "_torch_lr_scheduler.*nothing"),
    (lambda c: c.offline_data(input_="data.json"), "input_: .*nothing"),
    (lambda c: c.checkpointing(export_native_model_files=True), "export_native.*nothing"),
]


@pytest.mark.parametrize(("build", "message"), BUILT, ids=[message for _, message in BUILT])
def test_what_a_builder_method_gets_is_refused_in_one_line(build: Build, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        build(PTMConfig()).validate()
    assert len(error.value.lines) == 1


def test_every_builder_method_is_checked() -> None:
    for name in BUILDER_METHODS:
        with pytest.raises(InputError, match="clip_reward"):
            getattr(PTMConfig(), name)(clip_reward=True)


def test_every_attribute_is_checked_and_all_is_said_at_once() -> None:
    config = PTMConfig()
    config.clip_rewards = True
    config.seed = -1
    config.num_env_runnerz = 2
    config.method = "ptn"
    config.train_batch_size_per_learner = 9
    config.env_config = {"tasks": "smal_mt"}
    with pytest.raises(InputError) as error:
        config.validate()
    assert {line.partition(": ")[0] for line in error.value.lines} == {
        *("config.clip_rewards", "config.seed", "config.num_env_runnerz", "config.method"),
        *("config.train_batch_size_per_learner", "env_config.tasks"),
    }


def test_a_number_that_python_cannot_write_is_refused() -> None:
    config = PTMConfig()
    config.env_config = {"max_allies": 10**5000}
    with pytest.raises(InputError, match=r"max_allies: expected at most .*thousands of digits"):
        config.validate()


def test_what_a_subclass_sets_is_checked_but_its_own_keys_are_its_own() -> None:
    class Mine(PTMConfig):
        def __init__(self, algo_class: type | None = None) -> None:
            super().__init__(algo_class)
            self.my_key = 1
            self.training(lr=1e-4)

    config = Mine().update_from_dict({"my_key": ["anything"]})
    config.validate()
    assert (config.my_key, config.lr) == (["anything"], 1e-4)
    config.clip_rewards = True
    with pytest.raises(InputError, match="clip_rewards"):
        config.validate()


def test_classes_of_the_users_own_are_taken() -> None:
    class MyModule(PTMModule):
        pass

    class MyLearner(PTMLearner):
        pass

    spec = RLModuleSpec(module_class=MyModule, model_config={"my_width": 3})
    config = PTMConfig().rl_module(rl_module_spec=spec, model_config={"my_depth": 2})
    config.learners(learner_class=MyLearner, learner_config_dict={"mine": 1})
    config.validate()
    assert config.model_config["my_depth"] == 2


def test_settings_of_the_module_are_the_learners(make_config: Callable[..., PTMConfig]) -> None:
    changes = {"default_policy": {"lr": 3e-3, "optimizer_name": "adam"}}
    config = make_config().rl_module(algorithm_config_overrides_per_module=changes)
    spaces = {"default_policy": team_spaces(config.game.spec)}
    learner = config.build_learner(spaces=spaces)
    learner.set_state(learner.get_state())  # a restore sets the rates anew
    optimizer = learner.get_optimizer("default_policy")
    assert isinstance(optimizer, torch.optim.Adam)
    assert [group["lr"] for group in optimizer.param_groups] == [3e-3]


def test_a_config_that_rllib_has_worked_on_is_still_legal() -> None:
    config = PTMConfig().environment(env_config={"tasks": "3m_vs_3m"})
    config.evaluation(evaluation_interval=2, evaluation_config={"num_envs_per_env_runner": 4})
    config.validate()
    evaluation = config.get_evaluation_config_object()
    assert evaluation is not None
    for again in (
        PTMConfig().update_from_dict(config.to_dict()),
        PTMConfig.from_state(config.get_state()),
        config.copy(copy_frozen=False),
        evaluation,
    ):
        again.validate()
        again.freeze()
        again.validate()


@pytest.mark.parametrize("keys", [("env", "env_config"), ("env_config", "env")])
def test_the_environment_and_its_settings_may_stand_in_any_order(keys: tuple[str, ...]) -> None:
    values = {"env": "multi_task_foraging", "env_config": {"tasks": "foraging_small"}}
    config = PTMConfig().update_from_dict({key: values[key] for key in keys})
    assert (config.env, config.env_config) == tuple(values.values())


def test_numbers_of_numpy_become_pythons() -> None:
    def set_attributes(config: PTMConfig) -> PTMConfig:
        for key, value in by_name.items():
            setattr(config, key, value)
        return config

    by_name: dict[str, Any] = {
        **{"seed": np.int64(3), "lr": np.float32(0.5), "bootstrap_on_truncation": np.bool_(True)},
        **{"mining_lambda": np.array(2.0), "env_config": {"time_limit_steps": np.int32(7)}},
    }
    for config in (
        set_attributes(PTMConfig()),
        PTMConfig().update_from_dict(by_name),
        PTMConfig()
        .training(lr=np.float32(0.5), bootstrap_on_truncation=np.bool_(True))
        .training(mining_lambda=np.array(2.0))
        .debugging(seed=np.int64(3))
        .environment(env_config={"time_limit_steps": np.int32(7)}),
    ):
        config.validate()
        values = [getattr(config, key) for key in by_name]
        assert values == [3, 0.5, True, 2.0, {"time_limit_steps": 7}]
        assert [type(value) for value in values] == [int, float, bool, float, dict]
        assert type(config.env_config["time_limit_steps"]) is int


# What is set, the key, and its values in the trials.
SPACES: list[tuple[Build, str, list[Any] | None]] = [
    (lambda c: c.training(lr=tune.grid_search([1e-3, 1e-4])), "lr", [1e-3, 1e-4]),
    (lambda c: c.training(lr=tune.loguniform(1e-5, 1e-3)), "lr", None),
    (lambda c: c.training(method=tune.choice(["ptm", "ptm"])), "method", ["ptm"]),
    (lambda c: c.training(grad_clip_by=tune.choice(["norm"])), "grad_clip_by", ["norm"]),
    (
        lambda c: c.training(batch_size_episodes=tune.randint(1, 65_537)),
        "batch_size_episodes",
        None,
    ),
    (lambda c: c.training(lr=[[0, tune.choice([0.1])], [9, 0.01]]), "lr", [[[0, 0.1], [9, 0.01]]]),
    (
        lambda c: c.training(seed_for_evaluation=tune.sample_from(lambda spec: 16)),
        "seed_for_evaluation",
        [16],
    ),
    (
        lambda c: c.env_runners(num_envs_per_env_runner=tune.grid_search([8, 16])),
        "num_envs_per_env_runner",
        [8, 16],
    ),
    (
        lambda c: c.environment(env_config={"tasks": tune.grid_search(["3m_vs_3m", "5m_vs_6m"])}),
        "env_config",
        [{"tasks": "3m_vs_3m"}, {"tasks": "5m_vs_6m"}],
    ),
    (
        lambda c: c.evaluation(
            evaluation_interval=1, evaluation_config={"seed_for_evaluation": tune.choice([5])}
        ),
        "evaluation_config",
        [{"explore": False, "seed_for_evaluation": 5}],
    ),
]


@pytest.mark.parametrize(("build", "key", "values"), SPACES, ids=[key for _, key, _ in SPACES])
def test_search_spaces_are_for_tune(build: Build, key: str, values: list[Any] | None) -> None:
    config = build(PTMConfig())
    trials = [trial for _, trial in generate_variants(config.to_dict())]  # as tune.Tuner does
    read = []
    for trial in trials:
        PTM.default_resource_request(trial)
        resolved = PTMConfig().update_from_dict(trial)
        resolved.validate()
        read.append(getattr(resolved, key))
    assert values is None or read == values
    with pytest.raises(InputError, match=rf"config.{key}: .*tune.Tuner") as error:
        config.build_algo()
    assert len(error.value.lines) == 1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda c: c.training(lr=tune.grid_search([1e-3, -1.0])), "lr: expected more than 0"),
        (lambda c: c.training(lr=tune.grid_search([])), "lr: expected .*a value"),
        (lambda c: c.training(gamma=tune.uniform(0.5, 1.5)), "gamma: .*found 1.5"),
        (lambda c: c.training(method=tune.choice(["ptm", "refl"])), "did you mean 'refil'"),
        (lambda c: c.training(batch_size_episodes=tune.randint(0, 9)), "batch_size.*found 0"),
        (lambda c: c.training(batch_size_episodes=tune.uniform(8, 9)), "batch_size.*expected int"),
        (lambda c: c.training(batch_size_episodes=tune.randn(8, 1)), "batch_size.*expected int"),
        (
            lambda c: c.training(batch_size_episodes=tune.qrandn(8, 1, 2)),
            "batch_size.*expected int",
        ),
        (lambda c: c.training(lr=tune.choice([[[0, 0.1], [9, -0.1]]])), r"lr\[1\]\[1\]: .*-0.1"),
        (lambda c: c.environment(env_config={"tasks": tune.choice(["5m_vs_6q"])}), "5m_vs_6q"),
        (lambda c: c.env_runners(num_env_runners=tune.choice([-1])), "num_env_runners: .*-1"),
    ],
)
def test_what_a_search_space_holds_is_checked(build: Build, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(PTMConfig())


def test_building_warns_of_keys_that_change_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(AlgorithmConfig, "build_algo", lambda *_: None)
    PTMConfig().training(method="qmix_atten", mining_lambda=3.0).build_algo()
    (record,) = caplog.records
    assert record.getMessage().startswith("config.mining_lambda: it changes nothing without method")
    caplog.clear()
    PTMConfig().training(method="ptm", mining_lambda=3.0).build_algo()
    assert not caplog.records
