"""Searches: what stands for several values, and what compares the trials."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray import tune

from envs.errors import InputError
from rllib_ptm.cli.read.experiment import Experiment, read_experiment
from rllib_ptm.cli.read.search_space import SPACES, extremes, searched_keys, tune_space, variants
from rllib_ptm.cli.run.interrupt import PausingASHA, PausingFIFO, PausingPBT
from rllib_ptm.cli.run.schedulers import WithinBounds, make_scheduler
from rllib_ptm.cli.show.trial_table import best_first, trials_compete

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

# A space, what Tune makes of it, and the values that have to be legal.
GOOD_SPACES: list[tuple[dict[str, Any], Any, list[Any]]] = [
    ({"grid_search": [1, "a"]}, tune.grid_search([1, "a"]), [1, "a"]),
    ({"choice": [1, 2, 3]}, tune.choice([1, 2, 3]), [1, 2, 3]),
    ({"uniform": [0, 1]}, tune.uniform(0, 1), [0, 1]),
    ({"quniform": [0, 1, 0.1]}, tune.quniform(0, 1, 0.1), [0, 1]),
    ({"loguniform": [1e-4, 1e-2]}, tune.loguniform(1e-4, 1e-2), [1e-4, 1e-2]),
    ({"qloguniform": [1e-4, 1e-2, 5e-5]}, tune.qloguniform(1e-4, 1e-2, 5e-5), [1e-4, 1e-2]),
    ({"randint": [1, 9]}, tune.randint(1, 9), [1, 8]),
    ({"qrandint": [2, 8, 2]}, tune.qrandint(2, 8, 2), [2, 8]),
    ({"lograndint": [1, 9]}, tune.lograndint(1, 9), [1, 8]),
    ({"qlograndint": [2, 8, 2]}, tune.qlograndint(2, 8, 2), [2, 8]),
    ({"randn": [1.0, 0.1]}, tune.randn(1.0, 0.1), [1.0]),
    ({"qrandn": [1.0, 0.5, 0.1]}, tune.qrandn(1.0, 0.5, 0.1), [1.0]),
]


@pytest.mark.parametrize(("space", "made", "ends"), GOOD_SPACES)
def test_each_space_is_tunes(space: dict[str, Any], made: Any, ends: list[Any]) -> None:
    mine = tune_space({"outer": {"lr": space}})["outer"]["lr"]
    assert type(mine) is type(made)
    if isinstance(made, dict):
        assert mine == made
    else:
        assert mine.domain_str == made.domain_str
        for _ in range(20):
            drawn = mine.sample()
            assert type(drawn) in (int, float)  # and not one of numpy's, which YAML cannot say
            assert "randn" in next(iter(space)) or ends[0] <= drawn <= ends[-1]
    assert extremes(space, "x") == ends


def test_the_table_is_tested_whole() -> None:
    assert {next(iter(space)) for space, _, _ in GOOD_SPACES} == set(SPACES)


def test_ends_and_grids_are_combined_while_they_are_few() -> None:
    config = {"a": {"grid_search": [1, 2]}, "b": {"c": {"uniform": [0, 1]}}, "d": 4}
    assert list(variants(config, "config")) == [
        {"a": a, "b": {"c": c}, "d": 4} for a in (1, 2) for c in (0, 1)
    ]
    assert searched_keys(config) == ["a", "b/c"]
    many = {f"k{i}": {"choice": list(range(10))} for i in range(9)}
    few = list(variants(many, "config"))
    assert len(few) == 10
    assert {row["k3"] for row in few} == set(range(10))


def experiment(**more: Any) -> Experiment:
    return read_experiment("tiny", {**TINY, **more}, "here")


@pytest.mark.parametrize(
    ("name", "settings", "kind"),
    [
        ("fifo", {}, PausingFIFO),
        ("FIFO", {}, PausingFIFO),
        ("asha", {"max_t": 20, "grace_period": 2}, PausingASHA),
        ("AsyncHyperBand", {"metric": "env_runners/win_rate/3m_vs_2m"}, PausingASHA),
        ("pbt", PBT["scheduler_config"], PausingPBT),
    ],
)
def test_schedulers_by_name(name: str, settings: dict[str, Any], kind: type) -> None:
    checked = experiment(scheduler=name, scheduler_config=settings)
    made = make_scheduler(checked.scheduler_settings)
    assert type(made) is kind
    assert trials_compete(checked) == (kind is not PausingFIFO)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheduler": "ahsa"}, "scheduler: 'ahsa' is unknown; did you mean 'asha'?"),
        ({"scheduler": "bohb"}, "legal: asha, fifo, pbt"),
        ({"scheduler_config": {"max_t": 3}}, "scheduler_config.max_t: 'max_t' is unknown"),
        (
            {"scheduler": "asha", "scheduler_config": {"metric": "win_rate_mean"}},
            "did you mean 'env_runners/win_rate_mean'?",
        ),
        (
            {"scheduler": "asha", "scheduler_config": {"time_attr": "env_runners/win_rate_mean"}},
            "scheduler_config.time_attr: 'env_runners/win_rate_mean' is unknown",
        ),
        (
            {"scheduler": "asha", "scheduler_config": {"grace_period": 200}},
            "grace_period: expected at most max_t = 100, found 200",
        ),
        ({"scheduler": "pbt"}, "hyperparam_mutations: expected at least one key"),
        (
            {**PBT, "scheduler_config": {"hyperparam_mutations": {"lr": 3}}},
            "hyperparam_mutations.lr: expected a list of values",
        ),
        (
            {**PBT, "scheduler_config": {"hyperparam_mutations": {"lr": {"uniform": [2, 1]}}}},
            "hyperparam_mutations.lr.uniform: expected low < high",
        ),
        ({"config": {"lr": {"loguniform": [0, 1]}}}, "config.lr.loguniform: expected low, high ab"),
        ({"config": {"lr": {"uniform": [0.1]}}}, "config.lr: expected uniform: [low, high] and no"),
        ({"config": {"lr": {"randint": [0.5, 3]}}}, "config.lr.randint: expected whole numbers"),
        ({"config": {"lr": {"choice": []}}}, "config.lr: expected choice: [a value, ...]"),
        ({"max_concurrent_trials": 0}, "tiny.max_concurrent_trials: expected at least 1"),
    ],
)
def test_what_cannot_be_searched(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        list(experiment(**changes).variants())
    assert message in str(error.value)


def test_mutations_are_checked_as_the_config_is() -> None:
    from rllib_ptm.cli.read.config_check import check_config

    settings = {**PBT["scheduler_config"], "hyperparam_mutations": {"gamma": [0.9, 1.5]}}
    with pytest.raises(InputError, match=r"config.gamma: expected .* at most 1.0, found 1.5"):
        check_config(experiment(scheduler="pbt", scheduler_config=settings))


def test_what_is_perturbed_stays_within_its_range() -> None:
    within = WithinBounds({"lr": (1e-4, 1e-2), "window": (8, 64)})
    assert within({"lr": 0.012, "window": 6, "x": 9}) == {"lr": 1e-2, "window": 8, "x": 9}


class FakeResult:
    def __init__(self, score: float | None, error: Exception | None = None) -> None:
        self.metrics = {"env_runners": {"win_rate_mean": score}}
        self.error = error


def test_the_best_trial_comes_first_and_the_failed_ones_last() -> None:
    results = [FakeResult(0.9, RuntimeError()), FakeResult(0.1), FakeResult(None), FakeResult(0.5)]
    ranked: Any = best_first(experiment(), results)
    assert [r.metrics["env_runners"]["win_rate_mean"] for r in ranked] == [0.5, 0.1, 0.9, None]


def run_search(folder: Path, spec: dict[str, Any]) -> str:
    (folder / "search.yaml").write_text(yaml.safe_dump({"search": spec}))
    command = [sys.executable, "-m", "rllib_ptm.cli.main", "train", "file", "search.yaml"]
    done = subprocess.run(
        [*command, "--evaluation-episodes", "2"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def rows_of(folder: Path) -> list[list[dict[str, Any]]]:
    """The results of each trial."""
    files = sorted((folder / "results" / "search").glob("*/result.json"))
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


@pytest.mark.slow
def test_asha_stops_what_is_worse(tmp_path: Path) -> None:
    config = {**TINY["config"], "lr": {"loguniform": [1e-4, 1e-2]}, "seed": {"grid_search": [1, 2]}}
    spec = {**TINY, "config": config, "max_concurrent_trials": 2, "num_samples": 2}
    settings = {"metric": "env_runners/episode_return_mean", "max_t": 4, "reduction_factor": 2}
    output = run_search(tmp_path, {**spec, "scheduler": "asha", "scheduler_config": settings})
    lengths = [len(rows) for rows in rows_of(tmp_path)]
    assert len(lengths) == 4
    assert max(lengths) == 4
    assert min(lengths) < 4
    assert "search: 4 trials" in output
    assert output.count("greedy games of the last checkpoint") == 1


@pytest.mark.slow
def test_pbt_exploits_a_checkpoint_and_explores_from_it(tmp_path: Path) -> None:
    config = {**TINY["config"], "lr": 1e-3, "seed": {"grid_search": [1, 2]}}
    spec = {**TINY, **PBT, "config": config, "max_concurrent_trials": 2}
    run_search(tmp_path, {**spec, "stop": {"training_iteration": 8}})
    (log,) = (tmp_path / "results" / "search").glob("pbt_policy_*.txt")
    _, _, _, _, donor, clone = json.loads(log.read_text().splitlines()[0])
    assert donor["seed"] == clone["seed"]
    assert donor["lr"] != clone["lr"]
    assert 1e-4 <= clone["lr"] <= 1e-2
    used = [
        {row["config"]["lr"]: row["learners"]["default_policy"] for row in rows}
        for rows in rows_of(tmp_path)
    ]
    (perturbed,) = [rates for rates in used if clone["lr"] in rates]
    learner = perturbed[clone["lr"]]
    rate = next(value for key, value in learner.items() if key.endswith("learning_rate"))
    assert rate == pytest.approx(clone["lr"])
