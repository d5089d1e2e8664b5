"""Searches through Ray Tune."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ray.tune.schedulers import TrialScheduler
from searches import PBT, TINY, experiment

from rllib_ptm.cli.resume.stop_conditions import stop_conditions
from rllib_ptm.cli.run.interrupt import PausingASHA, PausingFIFO, PausingPBT
from rllib_ptm.cli.run.schedulers import WithinBounds, make_scheduler
from rllib_ptm.cli.show.trial_table import trials_compete


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


def test_what_is_perturbed_stays_within_its_range() -> None:
    within = WithinBounds({"lr": (1e-4, 1e-2), "window": (8, 64)})
    assert within({"lr": 0.012, "window": 6, "x": 9}) == {"lr": 1e-2, "window": 8, "x": 9}


def test_a_trial_is_not_compared_in_iterations_without_the_metric() -> None:
    metric = "learners/default_policy/loss_exp"
    searched = experiment(scheduler="asha", scheduler_config={"metric": metric})
    scheduler = make_scheduler(searched.scheduler_settings)
    controller: Any = None
    trials: list[Any] = [SimpleNamespace(trial_id=name) for name in ("good", "bad")]
    good, bad = trials
    for trial in trials:
        scheduler.on_trial_add(controller, trial)

    def judge(trial: Any, iteration: int, reported: Mapping[str, float | None]) -> str:
        result = {"training_iteration": iteration, **reported}
        return scheduler.on_trial_result(controller, trial, result)

    assert judge(good, 1, {metric: 0.9}) == TrialScheduler.CONTINUE
    for missing in ({}, {metric: math.nan}, {metric: None}):
        assert judge(bad, 1, missing) == TrialScheduler.CONTINUE
    assert judge(bad, 2, {metric: 0.1}) == TrialScheduler.STOP


def test_successive_halving_ends_a_trial_that_is_not_evaluated_then() -> None:
    """Its last iteration need not be one that reports the metric."""
    settings = {"max_t": 4, "time_attr": "training_iteration"}
    searched = experiment(scheduler="asha", scheduler_config=settings, stop={"time_total_s": 60})
    assert stop_conditions(searched) == {"time_total_s": 60, "training_iteration": 4}
    earlier = experiment(
        scheduler="asha", scheduler_config=settings, stop={"training_iteration": 3}
    )
    assert stop_conditions(earlier) == {"training_iteration": 3}
    assert stop_conditions(experiment()) == TINY["stop"]


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
    # Played one after the other, so that it is known which are worse: those with fewer steps.
    steps = {"grid_search": [400, 100]}
    config = {
        **TINY["config"],
        "lr": {"loguniform": [1e-4, 1e-2]},
        "min_sample_timesteps_per_iteration": steps,
    }
    spec = {**TINY, "config": config, "max_concurrent_trials": 1, "num_samples": 2}
    settings = {
        "metric": "env_runners/num_env_steps_sampled_lifetime",
        "max_t": 4,
        "reduction_factor": 2,
    }
    output = run_search(tmp_path, {**spec, "scheduler": "asha", "scheduler_config": settings})
    lengths = [len(rows) for rows in rows_of(tmp_path)]
    assert len(lengths) == 4
    assert lengths[0] == 4
    assert lengths[1] < 4
    assert "search: 4 trials" in output
    assert output.count("greedy episodes of the last checkpoint") == 1


@pytest.mark.slow
def test_pbt_exploits_a_checkpoint_and_explores_from_it(tmp_path: Path) -> None:
    config = {**TINY["config"], "lr": 1e-3, "seed": {"grid_search": [1, 2]}}
    # Trials are compared while both train: the first one must not end before the second one begins.
    config["min_time_s_per_iteration"] = 5
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
