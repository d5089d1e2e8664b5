"""Classes and functions of the user's own that a file names by their path."""

from __future__ import annotations

from pathlib import Path

import pytest
from searches import TINY

from rllib_ptm import PTMConfig
from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.read.experiment import read_experiments
from rllib_ptm.cli.read.rllib_check import check_with_rllib
from rllib_ptm.process import make_importable

OWN = """
from rllib_ptm import TaskPriorityCallback
from rllib_ptm.learn.learner import PTMLearner
from rllib_ptm.learn.rl_module import PTMModule
from rllib_ptm.play.env_runner import TeamEnvRunner


class Callback(TaskPriorityCallback):
    pass


class Learner(PTMLearner):
    pass


class Module(PTMModule):
    pass


class Runner(TeamEnvRunner):
    pass


def evaluate(algorithm, group):
    return {}, 0, 0
"""
PATHS = {
    "callbacks": "own_classes.Callback",
    "custom_evaluation_function": "own_classes.evaluate",
    "env_runner_cls": "own_classes.Runner",
    "learner_class": "own_classes.Learner",
    "rl_module_spec": "own_classes.Module",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_classes.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_yaml_names_what_lies_beside_it(folder: Path) -> None:
    import yaml

    config = {**TINY["config"], **PATHS, "evaluation_interval": 1}
    file = folder / "x.yaml"
    file.write_text(yaml.safe_dump({"own": {**TINY, "config": config}}))
    make_importable(folder)  # as the command does
    (experiment,) = read_experiments(file)
    check_with_rllib(experiment)
    made = PTMConfig().update_from_dict(experiment.config)
    import own_classes

    assert made.callbacks_class == [own_classes.Callback]
    assert made.custom_evaluation_function is own_classes.evaluate
    assert made.env_runner_cls is own_classes.Runner
    assert made.learner_class is own_classes.Learner
    assert made.rl_module_spec.module_class is own_classes.Module


@pytest.mark.parametrize("key", PATHS)
def test_a_path_that_names_nothing_is_one_line(folder: Path, key: str) -> None:
    wrong = f"{PATHS[key]}s"
    with pytest.raises(InputError, match=rf"^config.{key}: the module 'own_classes' has no .*mean"):
        PTMConfig().update_from_dict({key: wrong})
    with pytest.raises(InputError, match=rf"^config.{key}: .*cannot be imported"):
        PTMConfig().update_from_dict({key: "no_such_module.X"})


def test_a_path_to_something_else_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="learner_class: expected a class that inherits from"):
        PTMConfig().update_from_dict({"learner_class": "own_classes.Callback"})
