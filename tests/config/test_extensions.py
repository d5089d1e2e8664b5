"""``extensions``: modules of the user's own, and the rows that they add to the tables."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_rows import forget_own_rows

from rllib_ptm import InputError, PTMConfig
from rllib_ptm.checkpoints.saved_policy import SavedPolicy
from rllib_ptm.checks.tables import Table
from rllib_ptm.cli.read.experiment import read_experiment
from rllib_ptm.config.effects import keys_without_effect
from rllib_ptm.config.own_rows import TABLES
from rllib_ptm.config.ptm_settings import PTMSettings
from rllib_ptm.methods import METHODS, Method
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.tasks.draws import TASK_DRAWS
from rllib_ptm.tasks.priorities import TASK_PRIORITIES
from rllib_ptm.tasks.success_rates import TaskSuccess

MODULE = """
from odd_env import OddEnv
from ray import tune
from rllib_ptm.envs.starcraft.backends import BACKENDS
from rllib_ptm.methods import METHODS
from rllib_ptm.model.mixers import MIXERS
METHODS["mine"] = METHODS["ptm"]
MIXERS["mine"] = MIXERS["vdn"]
BACKENDS["mine"] = BACKENDS["smax"]
tune.register_env("my pond", lambda config: OddEnv(**config))
"""
TAKEN = """
from rllib_ptm.methods import METHODS
METHODS["ptm"] = METHODS["refil"]
"""
ENV = {"tasks": ["2m_vs_2m"]}


def forget(module: str) -> None:
    """Takes a module and the rows that users have added away, as in a process that begins."""
    sys.modules.pop(module, None)
    forget_own_rows()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that adds rows."""
    (tmp_path / "my_rows.py").write_text(MODULE)
    (tmp_path / "broken_rows.py").write_text("1 / 0")
    (tmp_path / "taken_rows.py").write_text(TAKEN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_rows"
    forget("my_rows")


def config_of(**training: Any) -> PTMConfig:
    return PTMConfig().environment("multi_task_sc2", env_config=ENV).training(**training)


def test_a_table_tells_its_own_rows_from_added_ones() -> None:
    table = Table({"a": 1})
    table["b"] = 2
    assert (table.built_in, table.own, list(table)) == ({"a"}, {"b"}, ["a", "b"])


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.__setitem__("a", 2),
        lambda table: table.update(a=2, b=3),
        lambda table: table.pop("a"),
        lambda table: table.clear(),
    ],
)
def test_rows_of_the_package_are_neither_replaced_nor_removed(
    change: Callable[[Table[int]], Any],
) -> None:
    table = Table({"a": 1})
    with pytest.raises(InputError, match=r"^'a' is a row of the package and cannot be re"):
        change(table)
    assert dict(table) == {"a": 1}
    table["a"] = table["a"]  # nothing changes
    table["b"] = 2
    table["b"] = 3  # a module that is imported again
    assert dict(table) == {"a": 1, "b": 3}


def test_every_table_of_the_config_can_be_added_to() -> None:
    for key, table in TABLES.items():
        assert PTMSettings.model_fields[key].default in table.built_in


@pytest.mark.parametrize("way", ["training", "dict", "attribute", "pickle", "checkpoint"])
def test_the_modules_are_imported_first_however_they_are_set(module: str, way: str) -> None:
    keys = {"mixer": "mine", "method": "mine", "extensions": [module]}
    if way == "training":
        config = config_of(**keys)
    elif way == "dict":
        config = PTMConfig().update_from_dict({"env": "multi_task_sc2", "env_config": ENV, **keys})
    elif way == "attribute":
        config = config_of()
        for key, value in keys.items():
            setattr(config, key, value)
    elif way == "pickle":
        written = pickle.dumps(config_of(**keys))
        forget(module)
        config = pickle.loads(written)
        assert module in sys.modules
    else:
        state = config_of(**keys).get_state()
        forget(module)
        config = PTMConfig.from_state(state)
    config.validate()
    assert config.env_runners(num_env_runners=1).copy().method == "mine"


def test_what_they_add_may_stand_in_env_and_env_config(module: str) -> None:
    config = {"extensions": [module], "env_config": {**ENV, "backend": "mine"}}
    spec = {"run": "PTM", "env": "multi_task_sc2", "stop": {"training_iteration": 1}}
    experiment = read_experiment("x", {**spec, "config": config}, "x.yaml")
    assert experiment.config["extensions"] == [module]
    pond = read_experiment("x", {**spec, "env": "my pond", "config": {"extensions": [module]}}, "x")
    assert "relay" in pond.tasks
    forget(module)
    updated = PTMConfig().update_from_dict({"env": "multi_task_sc2", **config})
    assert updated.game.tasks == ("2m_vs_2m",)


@pytest.mark.parametrize(
    ("extensions", "said"),
    [
        ("my_rows", "config.extensions: expected a list of modules, such as [my_methods], found"),
        ({"grid_search": [["a"]]}, "config.extensions: expected a list of modules"),
        (["my_rows.py"], "expected the name of a module, 'my_rows', found 'my_rows.py'"),
        (["my rows"], "config.extensions: expected names of modules, such as 'my_methods'"),
        ([1], "config.extensions: expected names of modules, such as 'my_methods', found 1"),
        (["__main__"], "other processes cannot import '__main__'"),
        (["my_rwos"], "config.extensions: 'my_rwos': there is no module 'my_rwos' in "),
        (["broken_rows"], "cannot be imported: ZeroDivisionError: division by zero"),
        (["taken_rows"], "'taken_rows': 'ptm' is a row of the package and cannot be replaced: giv"),
    ],
)
def test_modules_that_cannot_be_imported_are_refused_in_one_line(
    module: str, extensions: Any, said: str
) -> None:
    for set_it in (
        lambda: config_of(extensions=extensions),
        lambda: PTMConfig().update_from_dict({"extensions": extensions}),
    ):
        with pytest.raises(InputError) as error:
            set_it()
        (line,) = error.value.lines
        assert said in line


def test_a_row_that_only_this_process_has_is_refused_where_others_take_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METHODS, "mine", METHODS["ptm"])
    config_of(method="mine").validate()
    for config in (
        config_of(method="mine").env_runners(num_env_runners=1),
        config_of(method="mine").learners(num_learners=1),
        config_of(method="mine").evaluation(evaluation_interval=1, evaluation_num_env_runners=1),
    ):
        with pytest.raises(InputError, match="'mine' is a row of your own, which other processes"):
            config.validate()


def test_a_method_with_a_term_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METHODS, "mine", Method("a typo", lambda alpha: {"expp": 1.0}))
    with pytest.raises(InputError, match=r"METHODS\['mine'\]: the term: 'expp' .*mean 'exp'"):
        config_of(method="mine").validate()


def test_a_policy_does_not_import_what_only_its_checkpoint_names(module: str) -> None:
    policy = SavedPolicy({"training": {"extensions": [module]}}, {})
    for use in (policy.module, policy.algorithm_config):
        with pytest.raises(InputError, match=r"trained with the extensions my_rows; .*import my_r"):
            use()
    assert module not in sys.modules


def test_keys_that_a_row_of_the_users_own_reads_are_not_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(TASK_DRAWS, "mine", TASK_DRAWS["priority"])
    monkeypatch.setitem(TASK_PRIORITIES, "mine", TASK_PRIORITIES["win_rate"])
    keys = {"task_draw": "mine", "task_priority": "mine", "priority_temperature": 0.5}
    assert keys_without_effect([config_of(method="qmix_atten", **keys)]) == {}


@pytest.mark.parametrize(
    "draw",
    [
        lambda tasks, priorities: np.ones(len(tasks)),
        lambda tasks, priorities: np.ones(1),
        lambda tasks, priorities: None,  # return is missing
        lambda tasks, priorities: {"2m_vs_2m": 1.0},
        lambda tasks, priorities: np.full(len(tasks), np.nan),
    ],
)
def test_a_draw_that_gives_no_probabilities_ends_with_one_line(
    make_runner: Callable[..., TeamEnvRunner],
    make_config: Callable[..., PTMConfig],
    monkeypatch: pytest.MonkeyPatch,
    draw: Any,
) -> None:
    monkeypatch.setitem(TASK_DRAWS, "mine", draw)
    runner = make_runner(make_config(task_draw="mine"))
    with pytest.raises(InputError, match=r"config.task_draw: 'mine': expected the probab"):
        next(runner._training_schedule())


@pytest.mark.parametrize("omega", [np.ones(2), np.float64(1.0), np.full(2, np.nan), None])
def test_a_priority_rule_that_gives_no_weights_ends_with_one_line(
    monkeypatch: pytest.MonkeyPatch, omega: Any
) -> None:
    monkeypatch.setitem(TASK_PRIORITIES, "mine", lambda win_rate, progress, temperature: omega)
    success = TaskSuccess(["a", "b"], 4, "mine")
    with pytest.raises(InputError, match=r"config.task_priority: expected ω of 2 episodes, which"):
        success.weights(["a", "b"])
