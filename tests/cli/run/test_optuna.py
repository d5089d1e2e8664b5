"""Searches whose trials Optuna draws."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.tune import CheckpointConfig
from ray.tune import Experiment as TuneExperiment
from searches import PBT, TINY, experiment

import rllib_ptm
from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.search.sample_seeds import sample_seed
from rllib_ptm.cli.resume.run_folder import read_record, write_record
from rllib_ptm.cli.show.trial_table import _ranked_by, trials_compete

pytest.importorskip("optuna", reason="rllib-ptm[optuna] is not installed")
from rllib_ptm.cli.resume.optuna_trials import OptunaTrials

METRIC = "evaluation/env_runners/win_rate_mean"
CONFIG: dict[str, Any] = {
    **TINY["config"],
    "lr": {"loguniform": [1e-5, 1e-1]},
    "env_config": {"tasks": {"choice": [["2m_vs_2m"], ["3m_vs_2m"]]}},
    "evaluation_interval": 2,
    "seed": 7,
}


def searched(**more: Any) -> Experiment:
    spec: dict[str, Any] = {
        "config": CONFIG,
        "search_alg": "optuna",
        "search_config": {"metric": METRIC, "n_startup_trials": 5},
        "num_samples": 25,
    }
    return experiment(**{**spec, **more})


def begin(wanted: Experiment, folder: Path, *earlier: Any) -> OptunaTrials:
    rllib_ptm.register()
    search = OptunaTrials(wanted, *earlier)
    search.add_configurations(
        TuneExperiment(
            folder.name,
            "PTM",
            storage_path=str(folder),
            stop=TINY["stop"],
            checkpoint_config=CheckpointConfig(),
        )
    )
    return search


def test_a_choice_of_mappings_resumes(tmp_path: Path) -> None:
    choices = [{"tasks": ["2m_vs_2m"]}, {"tasks": ["3m_vs_2m"]}]
    wanted = searched(config={**CONFIG, "env_config": {"choice": choices}})
    (begun,) = play(begin(wanted, tmp_path), 1)
    assert begun.config["env_config"] in choices
    earlier = {begun.trial_id: begun.config}
    for found in ({}, {begun.trial_id: 0.5}):
        begin(wanted, tmp_path, earlier, found)


def play(search: OptunaTrials, trials: int) -> list[Any]:
    """Makes trials whose win rate is best near a learning rate of 0.001."""
    made = []
    for _ in range(trials):
        trial = search.next_trial()
        assert trial is not None
        score = -abs(math.log10(trial.config["lr"]) + 3)
        # As Tune calls it: not every iteration evaluates, and the last one need not.
        for iteration, value in enumerate((None, score - 1, math.nan, score, None), start=1):
            row = {"training_iteration": iteration} | ({} if value is None else {METRIC: value})
            search.on_trial_result(trial.trial_id, row)
        search.on_trial_complete(trial.trial_id, row)
        made.append(trial)
    return made


def rates(trials: list[Any]) -> list[float]:
    return [trial.config["lr"] for trial in trials]


def test_trials_are_numbered_seeded_and_drawn_where_earlier_ones_were_good(tmp_path: Path) -> None:
    search = begin(searched(), tmp_path)
    trials = play(search, 25)
    assert search.next_trial() is None
    assert search.is_finished()
    assert [trial.trial_id[-6:] for trial in trials[:2]] == ["_00000", "_00001"]
    assert [trial.config["seed"] for trial in trials[:3]] == [sample_seed(7, n) for n in range(3)]
    assert {tuple(trial.config["env_config"]["tasks"]) for trial in trials} == {
        ("2m_vs_2m",),
        ("3m_vs_2m",),
    }
    assert trials[0].config["batch_size_episodes"] == 4

    def distance(some: list[Any]) -> float:
        return sum(abs(math.log10(rate) + 3) for rate in rates(some)) / len(some)

    assert distance(trials[15:]) < distance(trials[:10])
    assert rates(play(begin(searched(), tmp_path), 25)) == rates(trials)  # the seed's draws


def test_no_more_trials_run_at_once_than_wanted(tmp_path: Path) -> None:
    search = begin(searched(max_concurrent_trials=2), tmp_path)
    first, second = search.next_trial(), search.next_trial()
    assert first is not None
    assert second is not None
    assert search.next_trial() is None
    search.on_trial_complete(first.trial_id, error=True)
    assert search.next_trial() is not None


def test_a_resumed_search_knows_what_its_trials_have_found(tmp_path: Path) -> None:
    first = begin(searched(), tmp_path)
    ended = play(first, 8)
    running = first.next_trial()
    assert running is not None
    begun: Mapping[str, Any] = {trial.trial_id: trial.config for trial in (*ended, running)}
    found = {t.trial_id: -abs(math.log10(t.config["lr"]) + 3) for t in ended[:-1]}
    search = begin(searched(), tmp_path, begun, {**found, ended[-1].trial_id: None})
    search.on_trial_complete(running.trial_id, {METRIC: -1.0})
    more = play(search, 16)
    assert search.next_trial() is None
    assert [trial.trial_id for trial in more[:1]] == [f"{running.trial_id[:6]}00009"]
    assert more[0].config["seed"] == sample_seed(7, 9)
    assert not set(rates(more)) & set(rates([*ended, running]))
    assert sum(abs(math.log10(rate) + 3) < 1 for rate in rates(more)) > 8


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"search_alg": "optunna"}, "search_alg: 'optunna' is unknown; did you mean 'optuna'?"),
        ({"search_alg": "random"}, "search_config.metric: it changes nothing with search_alg: r"),
        ({"search_config": {"metrik": 1}}, "search_config.metrik: 'metrik' is unknown; did you"),
        ({"num_samples": 5}, "search_alg: optuna: the first 5 trials are drawn at random"),
        ({"config": TINY["config"], "search_config": None}, "search_alg: optuna: expected a dist"),
        ({**PBT, "search_config": None}, "search_alg: optuna: the scheduler pbt changes the valu"),
        (
            {"config": {**CONFIG, "gamma": {"grid_search": [0.9, 0.99]}}},
            "config.gamma.grid_search: optuna draws each value itself; write choice",
        ),
        (
            {"config": {**CONFIG, "gamma": {"randn": [0.9, 0.01]}}},
            "config.gamma.randn: optuna does not draw from it; legal: choice, uniform, quniform",
        ),
        (
            {"search_config": {"metric": "env_runners/win_rate_meen", "n_startup_trials": 5}},
            "search_config.metric: 'env_runners/win_rate_meen' is unknown; did you mean",
        ),
    ],
)
def test_what_optuna_cannot_search_is_named(changed: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as error:
        searched(**changed)
    assert error.value.lines[0].startswith(f"here: tiny.{line}")


def test_the_package_is_named_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'rllib-ptm\[optuna\]'$"):
        searched()


def test_the_schedulers_metric_is_the_searchs_by_default() -> None:
    asha = {"scheduler": "asha", "scheduler_config": {"metric": METRIC, "max_t": 9}}
    assert _ranked_by(searched(**asha, search_config=None)) == (METRIC, "max")
    assert _ranked_by(searched(search_config=None)) == ("env_runners/win_rate_mean", "max")
    assert trials_compete(searched())
    assert not trials_compete(experiment())


def test_records_of_a_random_search_are_as_before(tmp_path: Path) -> None:
    for wanted, keys in ((experiment(), set()), (searched(), {"search_alg", "search_settings"})):
        write_record(wanted, tmp_path)
        record, _ = read_record(tmp_path)
        assert record is not None
        assert {key for key in record if key.startswith("search_")} == keys


@pytest.mark.slow
def test_a_search_with_asha_runs_and_resumes(tmp_path: Path) -> None:
    config = {**TINY["config"], "lr": {"loguniform": [1e-4, 1e-2]}, "seed": 3}
    spec = {
        **TINY,
        "config": config,
        "search_alg": "optuna",
        "search_config": {"n_startup_trials": 1},
        "num_samples": 2,
        "max_concurrent_trials": 1,
        "scheduler": "asha",
        "scheduler_config": {"metric": "env_runners/episode_return_mean", "max_t": 2},
    }
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({"search": spec}))
    command = [sys.executable, "-m", "rllib_ptm.cli.main", "train", "file", "x.yaml"]
    for more, trials in (([], 2), (["--resume", "--num-samples", "3"], 3)):
        done = subprocess.run(
            [*command, "--evaluation-episodes", "2", *more],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert f"search: {trials} trials" in done.stdout
        assert done.stdout.count("greedy episodes of the last checkpoint") == 1
    files = sorted((tmp_path / "results" / "search").glob("*/params.json"))
    used = [json.loads(file.read_text()) for file in files]
    assert [params["seed"] for params in used] == [sample_seed(3, n) for n in range(3)]
    assert len({params["lr"] for params in used}) == 3
