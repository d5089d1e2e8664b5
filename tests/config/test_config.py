from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from ray._common.deprecation import DEPRECATED_VALUE
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.tune.result import STDERR_FILE, STDOUT_FILE

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.checks.errors import InputError
from rllib_ptm.config.keys import OVERRIDES
from rllib_ptm.config.object_settings import OBJECT_KEYS
from rllib_ptm.config.ptm_settings import PTMSettings
from rllib_ptm.config.rllib_settings import RLLIB_KEYS
from rllib_ptm.environment import names
from rllib_ptm.model.action_heads import ACTION_HEADS, SlotHead
from rllib_ptm.model.sizes import NetworkSizes

# What is set, and what the message must hold: the place, what was found, what is legal or nearest.
BAD: list[tuple[dict[Any, Any], list[str]]] = [
    ({"mining_lamda": 3.0}, ["config.mining_lamda", "'mining_lambda'"]),
    ({"num_env_runnerz": 1}, ["config.num_env_runnerz", "'num_env_runners'"]),
    ({"method": "ptn"}, ["config.method", "'ptn'", "'ptm'", "refil"]),
    ({"mixer": "qmx"}, ["config.mixer", "'qmx'", "'qmix'", "vdn"]),
    ({"action_head": 3}, ["config.action_head", "str", "3"]),
    ({"optimizer_name": "adamw"}, ["config.optimizer_name", "'adam'", "rmsprop"]),
    ({"learner_precision": "fp16"}, ["config.learner_precision", "'fp16'", "'bf16'", "fp32"]),
    ({"epsilon_final": 1.5}, ["config.epsilon_final", "at most 1.0", "1.5"]),
    ({"mining_lambda": -1}, ["config.mining_lambda", "at least 0.0", "-1"]),
    ({"mining_lambda": float("nan")}, ["config.mining_lambda", "nan"]),
    ({"mining_episodes": 0}, ["config.mining_episodes", "at least 1", "0"]),
    ({"mining_episodes": 2.5}, ["config.mining_episodes", "int", "2.5"]),
    ({"batch_size_episodes": 0}, ["config.batch_size_episodes", "at least 1", "0"]),
    ({"batch_size_episodes": 2.5}, ["config.batch_size_episodes", "int", "2.5"]),
    ({"batch_size_episodes": True}, ["config.batch_size_episodes", "int", "True"]),
    ({"task_draw": "hard"}, ["config.task_draw", "priority, uniform"]),
    ({"lr": -0.1}, ["config.lr", "more than 0.0"]),
    ({"lr": "fast"}, ["config.lr", "'fast'", "float"]),
    ({"gamma": 2}, ["config.gamma", "at most 1.0"]),
    ({"num_env_runners": "two"}, ["config.num_env_runners", "'two'", "int"]),
    ({"train_batch_size": 64}, ["config.train_batch_size", "batch_size_episodes"]),
    ({"replay_buffer_config": {"capacity": 9}}, ["buffer_capacity_episodes"]),
    # RLlib's own keys, which RLlib does not check
    ({"num_envs_per_env_runner": 2.5}, ["config.num_envs_per_env_runner", "int", "2.5"]),
    ({"num_env_runners": 10**9}, ["config.num_env_runners", "at most 10000"]),
    ({"sample_timeout_s": "long"}, ["config.sample_timeout_s", "float", "'long'"]),
    ({"sample_timeout_s": 0}, ["config.sample_timeout_s", "more than 0"]),
    ({"grad_clip_by": "norn"}, ["config.grad_clip_by", "'norm'"]),
    ({"restart_failed_env_runners": 1}, ["config.restart_failed_env_runners", "bool", "1"]),
    ({"custom_resources_per_env_runner": [1]}, ["custom_resources_per_env_runner", "dict"]),
    ({"log_level": "warn"}, ["config.log_level", "'warn'", "WARN"]),
    ({"framework": "tf2"}, ["config.framework", "torch"]),
    ({"seed": -1}, ["config.seed", "at least 0"]),
    ({"seed": 2**40}, ["config.seed", "at most"]),
    ({"evaluation_config": 3}, ["config.evaluation_config", "dict", "3"]),
    ({"evaluation_config": {"method": "refil"}}, ["evaluation_config.method", "changes nothing"]),
    ({"evaluation_config": {"explor": False}}, ["evaluation_config.explor", "'explore'"]),
    ({"evaluation_config": {"explore": None}}, ["evaluation_config.explore", "false"]),
    (
        {"evaluation_config": {"num_envs_per_env_runner": 0}},
        ["num_envs_per_env_runner", "at least 1"],
    ),
    ({"evaluation_config": {"seed_for_evaluation": -1}}, ["seed_for_evaluation", "at least 0"]),
    # Settings of the one module
    ({OVERRIDES: {"other": {"lr": 0.1}}}, [OVERRIDES, "'other'", "legal: default_policy"]),
    ({OVERRIDES: {"default_policy": {"lrr": 0.1}}}, ["default_policy.lrr", "did you mean 'lr'"]),
    ({OVERRIDES: {"default_policy": {"method": "ptm"}}}, ["default_policy.method", "nothing"]),
    ({OVERRIDES: {"default_policy": {"lr": -0.1}}}, ["default_policy.lr", "more than 0"]),
    ({OVERRIDES: {"default_policy": 3}}, ["default_policy", "mapping", "3"]),
    # Objects
    ({"env_runner_cls": None}, ["env_runner_cls", "inherits from TeamEnvRunner", "None"]),
    ({"env_runner_cls": dict}, ["env_runner_cls", "inherits from TeamEnvRunner", "dict"]),
    ({"algo_class": dict}, ["algo_class", "inherits from PTM"]),
    ({"policies": ["a", "b"]}, ["config.policies", "share one policy", "['a', 'b']"]),
    ({"policy_mapping_fn": print}, ["policy_mapping_fn", "share one policy"]),
    ({"stats_cls_lookup": {"mean": int}}, ["stats_cls_lookup.mean", "StatsBase"]),
    ({"stats_cls_lookup": {}}, ["stats_cls_lookup", "missing", "lifetime_sum"]),
    # Keys of RLlib without an effect in PTM, and numbers that no machine can use
    ({"merge_env_runner_states": "banana"}, ["merge_env_runner_states", "changes nothing"]),
    ({"broadcast_env_runner_states": False}, ["broadcast_env_runner", "changes nothing"]),
    ({"torch_ddp_kwargs": {"foo": 1}}, ["torch_ddp_kwargs.foo", "static_graph"]),
    ({"custom_resources_per_learner": {"a": float("inf")}}, ["learner.a", "finite"]),
    ({"updates_per_episode": float("inf")}, ["updates_per_episode", "finite", "inf"]),
    ({"sample_timeout_s": float("inf")}, ["sample_timeout_s", "finite", "inf"]),
    ({"sample_timeout_s": 1e300}, ["sample_timeout_s", "at most", "1e+300"]),
    ({"attention_dim": 10**400}, ["attention_dim", "at most 2**63 - 1", "0000..."]),
    ({"attention_dim": 10**5000}, ["attention_dim", "at most 2**63 - 1", "thousands of digits"]),
    ({"attention_dim": 10**9}, ["attention_dim", "at most 4096"]),
    ({"lr": 10**400}, ["config.lr", "at most 2**63 - 1"]),
    ({"env_config": {"tasks": "6m", "max_allies": 10**99}}, ["max_allies", "2**63 - 1"]),
    ({"lr": 1e300}, ["config.lr", "at most 1000.0", "1e+300"]),
    # A schedule of the learning rate
    ({"lr": [[0, 0.1], [300, -0.2]]}, ["config.lr[1][1]", "more than 0.0", "-0.2"]),
    ({"lr": [[0, 0.1], [300, float("nan")]]}, ["config.lr[1][1]", "more than 0.0", "nan"]),
    ({"lr": [[0, "fast"], [300, 0.1]]}, ["config.lr[0][1]", "float", "'fast'"]),
    ({"lr": [[0, True], [300, 0.1]]}, ["config.lr[0][1]", "float", "True"]),
    ({"lr": [[0, 0.1], [0, 0.2]]}, ["config.lr[1][0]", "more steps than 0", "found 0"]),
    ({"lr": [[0, 0.1], [9, 0.2], [3, 0.1]]}, ["config.lr[2][0]", "more steps than 9", "found 3"]),
    ({"lr": [[1, 0.1], [9, 0.2]]}, ["config.lr[0][0]", "expected 0", "found 1"]),
    ({"lr": [[0, 0.1], ["late", 0.2]]}, ["config.lr[1][0]", "float", "'late'"]),
    ({"lr": [[0, 0.1], [float("inf"), 0.2]]}, ["config.lr[1][0]", "finite", "inf"]),
    ({"lr": [[0, 0.1], [True, 0.2]]}, ["config.lr[1][0]", "float", "True"]),
    ({"lr": [[0, 0.1], 0.2]}, ["config.lr[1]", "a pair", "0.2"]),
    ({"lr": [[0, 0.1, 3], [9, 0.2]]}, ["config.lr[0]", "a pair", "[0, 0.1, 3]"]),
    ({"lr": [[0, 0.1]]}, ["config.lr", "at least two pairs"]),
    ({"lr": []}, ["config.lr", "at least two pairs"]),
    ({OVERRIDES: {"default_policy": {"lr": [[0, 0.1], [1, -1]]}}}, ["policy.lr[1][1]", "-1"]),
    ({"num_workers": -1}, ["config.num_workers", "at least 0"]),
    ({"num_cpus_per_learner": "many"}, ["config.num_cpus_per_learner", "float", "'many'"]),
    ({"custom_evaluation_function": "f"}, ["custom_evaluation_function", "the path of", "'f'"]),
    ({"callbacks_on_train_result": 3}, ["callbacks_on_train_result", "Python"]),
    # RLlib's keys that PTM does not read
    ({"observation_filter": "MeanStdFilter"}, ["observation_filter", "changes nothing in PTM"]),
    ({"clip_rewards": True}, ["config.clip_rewards", "changes nothing in PTM"]),
    ({"clip_actions": 0}, ["config.clip_actions", "changes nothing in PTM"]),
    ({"num_gpus": 1}, ["config.num_gpus", "num_gpus_per_learner"]),
    ({"torch_compile_learner": True}, ["torch_compile_learner", "changes nothing in PTM"]),
    # Names of other libraries, and what they mean here
    ({"learning_rate": 0.1}, ["config.learning_rate", "use lr instead"]),
    ({"use_lstm": True}, ["config.use_lstm", "unknown; legal"]),  # and no key without an effect
    ({"learner_class": dict}, ["config.learner_class", "inherits from PTMLearner"]),
    ({7: 1}, ["config", "names", "7"]),
    ({"env_config": {"task": "small_mt"}}, ["env_config.task", "'tasks'"]),
    ({"env_config": {"tasks": "smal_mt"}}, ["tasks", "'smal_mt'", "'small_mt'"]),
    ({"env_config": {"tasks": []}}, ["tasks", "empty"]),
    ({"env_config": {"backend": "smac"}}, ["env_config.backend", "'smac'", "'smax'"]),
    ({"env_config": {"tasks": "6m", "max_allies": 5}}, ["max_allies", "6", "5"]),
    ({"env_config": {"tasks": ["MMM"]}}, ["'MMM'", "medivac", "smax"]),
]


@pytest.mark.parametrize(("values", "words"), BAD, ids=[" ".join(words) for _, words in BAD])
def test_bad_keys_and_values_are_refused_in_one_line(
    values: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(InputError) as error:
        PTMConfig().update_from_dict(values)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_attributes_are_checked_too() -> None:
    config = PTMConfig()
    config.method = "ptn"
    with pytest.raises(InputError, match="did you mean 'ptm'"):
        config.validate()


@pytest.mark.parametrize(
    ("training", "word"),
    [({"attention_dim": 30}, "attention_dim"), ({"hypernet_dim": 6}, "hypernet_dim")],
)
def test_widths_must_fit_the_heads(training: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=f"config.{word}.*divisible by attention_heads = 4"):
        PTMConfig().training(**training).validate()


def test_no_more_episodes_are_mined_than_a_batch_has() -> None:
    PTMConfig().training(mining_episodes=8, batch_size_episodes=8).validate()
    with pytest.raises(InputError) as error:
        PTMConfig().training(mining_episodes=9, batch_size_episodes=8).validate()
    assert str(error.value) == (
        "config.mining_episodes: expected at most batch_size_episodes = 8, or null for all of "
        "them, found 9"
    )


@pytest.mark.parametrize("lr", [[[0, 1e-3], [1e6, 1e-4]], ((0, 1e-3), (600, 1e-4), (700, 1e-2))])
def test_a_schedule_of_the_learning_rate_is_taken(lr: Any) -> None:
    PTMConfig().training(lr=lr).validate()
    overrides = {"default_policy": {"lr": lr}}
    PTMConfig().rl_module(algorithm_config_overrides_per_module=overrides).validate()


def test_joint_exploration_needs_no_aims_where_contact_is_known() -> None:
    """A medivac aims its actions at allies, so the entity head is refused, and not this."""
    config = PTMConfig().environment(env_config={"tasks": "MMM", "backend": "sc2"})
    config.training(joint_exploration=0.5)
    config._check_networks()
    config.training(action_head="entity")
    with pytest.raises(InputError, match="a medivac aims the actions at allies"):
        config._check_networks()


@pytest.mark.parametrize(
    ("settings", "head", "expected"),
    [
        (
            {"tasks": "3m", "slot_features": False},
            "slot",
            "expected 'entity', found 'slot'; 'slot'",
        ),
        ({"tasks": "MMM", "backend": "sc2"}, "entity", "expected 'slot', found 'entity'; 'entity'"),
        *(
            (
                {"tasks": "MMM", "backend": "sc2", "slot_features": False},
                head,
                "no head fits, found",
            )
            for head in ("slot", "entity")
        ),
    ],
)
def test_a_head_must_be_able_to_tell_the_target_of_an_action(
    settings: dict[str, Any], head: str, expected: str
) -> None:
    config = PTMConfig().environment(env_config=settings).training(action_head=head)
    with pytest.raises(InputError) as error:
        config._check_networks()
    (line,) = error.value.lines
    assert line.startswith(f"config.action_head: {expected}")
    assert ("env_config.slot_features is false" in line) == ("slot_features" in settings)
    assert ("a medivac aims" in line) == (settings["tasks"] == "MMM")


def test_a_head_of_your_own_reads_no_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written for embedded entities."""
    monkeypatch.setattr(ACTION_HEADS, "_rows", {**ACTION_HEADS, "entitty": SlotHead})
    PTMConfig().training(action_head="entitty")._check_networks()
    config = PTMConfig().training(action_head="entitty", agent_attention="pairwise")
    with pytest.raises(InputError) as error:
        config._check_networks()
    assert error.value.lines == (
        "config.action_head, with agent_attention: pairwise: 'entitty' is unknown; did you mean "
        "'entity'? legal: entity, slot",
    )


def test_the_entity_head_is_evaluated_where_its_aims_hold() -> None:
    army = {"backend": "sc2", "max_allies": 10, "max_enemies": 10}
    config = PTMConfig().environment(env_config={"tasks": "9m_vs_9m", **army})
    config.evaluation(evaluation_interval=1, evaluation_config={"env_config": {"tasks": "MMM"}})
    config._check_evaluation()
    config.training(action_head="entity")
    with pytest.raises(InputError, match=r"evaluation_config: .* other aims of actions"):
        config._check_evaluation()


def test_another_environment_is_refused() -> None:
    with pytest.raises(InputError, match="multi_task_sc2"):
        PTMConfig().environment("CartPole-v1").validate()


def test_a_config_goes_through_a_dict_and_back() -> None:
    config = PTMConfig().environment(env_config={"tasks": "large_mt"}).training(method="refil")
    copy = PTMConfig().update_from_dict(config.to_dict())
    assert copy.method == "refil"
    assert copy.game.spec.agents == 10
    copy.validate()


def test_every_key_is_documented_and_its_default_is_legal(
    make_config: Callable[..., PTMConfig],
) -> None:
    for field in PTMSettings.model_fields.values():
        assert field.description
    PTMConfig().validate()
    assert set(PTMSettings.key_names()) <= vars(PTMConfig()).keys()


def test_every_key_in_the_table_is_one_of_rllibs_and_every_other_is_refused() -> None:
    rllib = {key: value for key, value in vars(AlgorithmConfig()).items() if key[0] != "_"}
    assert set(RLLIB_KEYS) <= set(rllib)
    known = vars(PTMConfig())
    for key, default in rllib.items():
        if key not in OBJECT_KEYS and default != DEPRECATED_VALUE:
            PTMConfig().update_from_dict({key: known[key]})  # what is there already may be written
        if key in RLLIB_KEYS or not isinstance(default, (bool, int, float, str)):
            continue
        why = "(changes nothing|new API stack|Python)"
        with pytest.raises(InputError, match=rf"config.{key}: .*{why}"):
            PTMConfig().update_from_dict({key: f"not {default}"})


def test_all_that_is_wrong_is_said_at_once() -> None:
    values = {
        "mthod": "ptm",
        "batch_size_episodes": 0,
        "num_env_runners": -1,
        "num_gpus": 1,
        "env_config": {"tasks": "smal_mt", "time_limit_steps": 0},
    }
    for set_values in (
        lambda: PTMConfig().update_from_dict(values),
        lambda: PTMConfig().training(**values),
    ):
        with pytest.raises(InputError) as error:
            set_values()
        lines = error.value.lines
        assert {line.partition(": ")[0] for line in lines} == {
            *("config.mthod", "config.batch_size_episodes", "config.num_env_runners"),
            *("config.num_gpus", "env_config.tasks", "env_config.time_limit_steps"),
        }
        assert any("did you mean 'method'?" in line for line in lines)
        assert any("did you mean 'small_mt'?" in line for line in lines)
    with pytest.raises(InputError) as error:
        PTMConfig().training(attention_dim=30, hypernet_dim=30, num_epochs=1).validate()
    assert len(error.value.lines) == 2


def test_each_key_of_ptms_has_a_type_a_default_and_a_line_of_documentation() -> None:
    without_range = {bool, str, str | None, tuple[str, ...]}
    for key, field in PTMSettings.model_fields.items():
        assert field.description, key
        assert "\n" not in field.description
        assert not field.is_required()
        assert getattr(PTMConfig(), key) == field.default
        if field.annotation not in without_range:
            assert any(hasattr(rule, end) for rule in field.metadata for end in ("ge", "gt")), key
        elif field.annotation is str:
            assert field.metadata, key  # its legal names
    assert set(NetworkSizes.names()) <= set(PTMSettings.model_fields)


def test_the_environments_settings_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config = PTMConfig().environment(env_config={"tasks": "3m_vs_4m", "time_limit_steps": 77})
    read = config.game
    assert read.spec is config.game.spec
    with monkeypatch.context() as patch:
        patch.setattr(names, "BUILT_IN", dict.fromkeys(names.BUILT_IN))  # nothing is read again
        assert config.game is read
        assert config.copy().game is read
        frozen = config.copy(copy_frozen=True)
        assert frozen.game is read
        assert pickle.loads(pickle.dumps(config)).game is read
        assert PTMConfig.from_state(config.get_state()).game is read
    config.env_config["time_limit_steps"] = 78
    assert config.game.plain()["time_limit_steps"] == 78
    config.environment(env_config={"tasks": "5m_vs_6m"})
    assert config.game.spec.agents == 5
    assert (frozen.game.spec.agents, frozen.game.plain()["time_limit_steps"]) == (3, 77)
    config.env_config["uniform_ranges"] = True
    assert config.game.plain()["uniform_ranges"]
    config.env_config["uniform_ranges"] = 1  # which equals True, and is not legal
    with pytest.raises(InputError, match="uniform_ranges: expected bool, found 1"):
        config.game  # noqa: B018


def test_tune_adds_keys_of_its_own() -> None:
    """To the config of each trial; see ``ray.tune.result``."""
    PTMConfig().update_from_dict({STDOUT_FILE: None, STDERR_FILE: None}).validate()
