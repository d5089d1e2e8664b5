"""Reading experiment files."""

from __future__ import annotations

from pathlib import Path

import pytest
from starcraft_game import starcraft

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.options.declared import EvaluateOptions
from rllib_ptm.cli.read.experiment import read_experiments
from rllib_ptm.cli.read.search.spaces import variants
from rllib_ptm.cli.run.evaluate import _changes
from rllib_ptm.envs.starcraft.backends import EnvSettings

TWO_EXPERIMENTS = """
first:
  run: PTM
  env: multi_task_sc2
  stop: {time_total_s: 60, env_runners/win_rate/5m_vs_6m: 0.5}
  checkpoint_config: {checkpoint_frequency: 3, num_to_keep: 2}
  num_samples: 2
  config:
    lr: 5e-4
    env_config: {tasks: [5m_vs_5m, 5m_vs_6m]}
second:
  run: PTM
  stop: {training_iteration: 5}
  config:
    env: multi_task_sc2
    gamma: {grid_search: [0.9, 0.99]}
    env_config:
      tasks: {grid_search: [small_mt, 3m_vs_3m]}
"""


@pytest.fixture
def two_experiments(tmp_path: Path) -> Path:
    path = tmp_path / "two.yaml"
    path.write_text(TWO_EXPERIMENTS)
    return path


def test_reads_rays_classic_form(two_experiments: Path) -> None:
    first, second = read_experiments(two_experiments)
    assert (first.name, first.algorithm, first.num_samples) == ("first", "PTM", 2)
    assert first.stop == {"time_total_s": 60.0, "env_runners/win_rate/5m_vs_6m": 0.5}
    assert first.checkpoint.checkpoint_frequency == 3
    assert first.checkpoint.num_to_keep == 2
    assert first.checkpoint.checkpoint_at_end
    assert first.config["env"] == second.config["env"] == "multi_task_sc2"
    assert first.config["lr"] == pytest.approx(5e-4)  # which PyYAML alone reads as a string
    assert first.tasks == ("5m_vs_5m", "5m_vs_6m")


def test_a_grid_is_every_combination_of_its_values(two_experiments: Path) -> None:
    _, second = read_experiments(two_experiments)
    assert second.tasks == ("5m_vs_5m", "6m_vs_6m", "5m_vs_6m", "3m_vs_3m")
    grid = [(v["gamma"], v["env_config"]["tasks"]) for v in second.variants()]
    assert grid == [(g, t) for g in (0.9, 0.99) for t in ("small_mt", "3m_vs_3m")]


def test_a_config_without_a_grid_is_its_only_variant() -> None:
    config = {"lr": 0.1, "env_config": {"tasks": ["3m"]}}
    assert list(variants(config, "config")) == [config]


def test_stop_conditions_of_the_command_line_take_the_place_of_the_files(
    two_experiments: Path,
) -> None:
    for experiment in read_experiments(two_experiments, stop={"training_iteration": 2}):
        assert experiment.stop == {"training_iteration": 2.0}
    with pytest.raises(InputError, match=r"first: --stop\.iterations: 'iterations' is unknown"):
        read_experiments(two_experiments, stop={"iterations": 2})


def test_evaluation_can_end_a_run_that_evaluates(two_experiments: Path) -> None:
    stop = {"evaluation/env_runners/win_rate/5m_vs_5m": 0.9}
    two_experiments.write_text(
        TWO_EXPERIMENTS.replace("    lr:", "    evaluation_interval: 5\n    lr:")
    )
    with pytest.raises(InputError, match="second"):  # the other one does not evaluate
        read_experiments(two_experiments, stop=stop)


@pytest.mark.parametrize("written", [",", "3m,,5m", "3m,", "", " "])
def test_a_name_is_missing_between_commas(written: str) -> None:
    with pytest.raises(InputError) as error:
        _changes(EvaluateOptions(tasks=written))
    assert str(error.value).startswith("--tasks: expected names with one comma between two")
    assert str(error.value).endswith(f"found {written!r}")


def test_sets_stand_in_a_list_wherever_tasks_are_named(tmp_path: Path) -> None:
    played = ("5m_vs_5m", "6m_vs_6m", "5m_vs_6m", "3m")
    path = tmp_path / "sets.yaml"
    path.write_text(
        "x: {run: PTM, env: multi_task_sc2, stop: {evaluation/env_runners/win_rate/3m: 1}, config: "
        "{evaluation_interval: 1, evaluation_config: {env_config: {tasks: [unseen, 3m]}}, "
        "env_config: {tasks: [small_mt, 3m]}}}"
    )
    (experiment,) = read_experiments(path)
    assert experiment.tasks == played
    assert starcraft("small_mt").with_settings({"tasks": ["small_mt", "3m"]}).tasks == played
    assert EnvSettings(tasks=["small_mt", "3m"]).ally_slots == 6
