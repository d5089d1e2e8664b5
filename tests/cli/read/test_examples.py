"""The experiments that come with the package."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.cli.main import main
from rllib_ptm.cli.read import rllib_check
from rllib_ptm.cli.read.examples import description, examples, find_experiment_file
from rllib_ptm.cli.read.experiment import read_experiments
from rllib_ptm.config.ptm_settings import PTMSettings
from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.methods import METHODS

ALL = examples()
EXAMPLES = {name: path for name, path in ALL.items() if path.suffix == ".yaml"}


OTHER_METHODS = [method for method in METHODS if method != "ptm"]


def test_there_is_one_for_each_regime_and_method() -> None:
    assert set(EXAMPLES) >= {
        "ptm_small_mt_quick",
        "ptm_small_mt",
        "ptm_medium_mt",
        "ptm_large_mt",
        *(f"{method}_small_mt" for method in OTHER_METHODS),
    }


@pytest.mark.parametrize("method", OTHER_METHODS)
def test_those_of_the_other_methods_differ_from_ptms_in_the_method_alone(method: str) -> None:
    (of_ptm,), (other,) = (
        read_experiments(EXAMPLES[f"{name}_small_mt"]) for name in ("ptm", method)
    )
    assert replace(other, name=of_ptm.name, source=of_ptm.source, config=of_ptm.config) == of_ptm
    expected = PTMConfig().update_from_dict({**of_ptm.config, "method": method})
    actual = PTMConfig().update_from_dict(other.config)
    assert actual.game == expected.game
    for config in (actual, expected):
        config.env_config = {}
    assert actual.to_dict() == expected.to_dict()


@pytest.mark.parametrize("name", ["ptm_small_mt", "ptm_medium_mt", "ptm_large_mt"])
def test_the_papers_have_every_key_at_its_default(name: str) -> None:
    (experiment,) = read_experiments(EXAMPLES[name])
    expected = dict(PTMSettings())
    for key in ("seed_for_evaluation", "evaluate_at_start"):  # refused where nothing is evaluated
        del expected[key]
    for key in (
        "extensions",
        "env_processes",
        "env_timeout_s",
        "max_env_failures",
    ):  # not of the paper
        del expected[key]
    assert {key: experiment.config.get(key, "not there") for key in expected} == expected
    assert set(experiment.config["env_config"]) == set(EnvSettings.model_fields)


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_can_be_trained(name: str) -> None:
    (experiment,) = read_experiments(EXAMPLES[name])
    assert experiment.name == name
    assert experiment.stop
    rllib_check.check_with_rllib(experiment)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_comment_stands_over_each_key(name: str) -> None:
    lines = EXAMPLES[name].read_text().splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r"\s+\w+:", line)]
    assert len(keys) > 10
    bare = [lines[i].strip() for i in keys if not lines[i - 1].strip().startswith("#")]
    assert not bare
    assert description(EXAMPLES[name]).endswith(".")


def test_list_shows_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["example", "list"]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in ALL)
    assert "__init__" not in output


def test_get_prints_the_file_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["example", "get", "ptm_small_mt"]) == 0
    assert capsys.readouterr().out == EXAMPLES["ptm_small_mt"].read_text()


@pytest.mark.parametrize("path", ["tuned_examples/ptm_small_mt.yaml", "ptm_small_mt.yaml"])
def test_an_example_is_found_from_any_folder_but_a_local_file_comes_first(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_experiment_file(Path(path)) == EXAMPLES["ptm_small_mt"]
    Path("tuned_examples").mkdir()
    Path(path).touch()
    assert find_experiment_file(Path(path)) == Path(path)
