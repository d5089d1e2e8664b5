"""The table of a search's trials, and what is said of those that were interrupted."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune import Result
from rich.console import Console
from searches import TINY, experiment

from rllib_ptm.cli.show.trial_report import report_interrupted
from rllib_ptm.cli.show.trial_table import best_first, trial_table


class FakeResult:
    def __init__(self, score: float | None, error: Exception | None = None) -> None:
        self.metrics = {"env_runners": {"win_rate_mean": score}}
        self.error = error
        self.path = "no such folder"
        self.config: dict[str, Any] | None = None


def test_the_best_trial_comes_first_and_the_failed_ones_last() -> None:
    results = [FakeResult(0.9, RuntimeError()), FakeResult(0.1), FakeResult(None), FakeResult(0.5)]
    ranked: Any = best_first(experiment(), results)
    assert [r.metrics["env_runners"]["win_rate_mean"] for r in ranked] == [0.5, 0.1, 0.9, None]


def test_a_trial_is_ranked_by_the_last_value_that_it_reported(tmp_path: Path) -> None:
    """Few iterations evaluate, and the last one need not be among them."""
    key = "evaluation/env_runners/win_rate_mean"
    settings = {"metric": key, "max_t": 9}
    config = {**TINY["config"], "evaluation_interval": 2, "evaluation_duration": 2}
    searched = experiment(config=config, scheduler="asha", scheduler_config=settings)
    results: list[Any] = []
    for name, evaluated in (("a", [0.2]), ("b", [0.9, 0.5]), ("c", [0.4]), ("d", [])):
        folder = tmp_path / name
        folder.mkdir()
        rows: list[dict] = [
            {"evaluation": {"env_runners": {"win_rate_mean": x}}} for x in evaluated
        ]
        rows.append({"training_iteration": 3})
        (folder / "result.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        results.append(Result(metrics=rows[-1], checkpoint=None, error=None, path=str(folder)))
    ranked = best_first(searched, results)
    assert [Path(result.path).name for result in ranked] == ["b", "c", "a", "d"]
    console = Console(width=200, record=True)
    console.print(trial_table(searched, ranked))
    shown = [
        line.split("│")[-2].strip() for line in console.export_text().splitlines() if "│ " in line
    ]
    assert shown == ["0.500", "0.400", "0.200", "-"]


def of_seed(seed: int, lr: float, score: float | None, error: Exception | None = None) -> Any:
    result: Any = FakeResult(score, error)
    result.path = f"PTM_multi_task_sc2_1ef19_0000{seed}_{seed}_seed={seed}_2026-11-30_09-33-37"
    result.config = {"seed": seed, "lr": lr}
    result.metrics["training_iteration"] = 9
    return result


def printed_rows(searched: Any, results: list[Any]) -> list[list[str]]:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(trial_table(searched, results))
    lines = [line for line in console.export_text().splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_trials_of_a_grid_over_seeds_are_summarised_by_group() -> None:
    config = {**TINY["config"], "lr": {"grid_search": [0.1, 0.2]}, "seed": {"grid_search": [1, 2]}}
    results = [
        of_seed(1, 0.2, 0.9),
        of_seed(2, 0.1, 0.5),
        of_seed(2, 0.2, 0.3),
        of_seed(1, 0.1, 0.2, RuntimeError()),
    ]
    assert printed_rows(experiment(config=config), results) == [
        ["1", "0.2", "1", "9", "0.900", ""],
        ["2", "0.2", "2", "9", "0.300", ""],
        ["", "0.2", "2 seeds", "median", "0.600", "25-75 %: 0.450-0.750"],
        ["2", "0.1", "2", "9", "0.500", ""],
        ["1", "0.1", "1", "9", "0.200", "failed"],
        ["", "0.1", "1 seed", "median", "0.500", "25-75 %: 0.500-0.500"],
    ]


def test_competing_trials_and_those_without_seeds_stand_alone() -> None:
    results = [of_seed(1, 0.2, 0.9), of_seed(2, 0.2, 0.3)]
    grid = {**TINY["config"], "seed": {"grid_search": [1, 2]}}
    asha = {"metric": "env_runners/win_rate_mean", "max_t": 9}
    searched = experiment(config=grid, scheduler="asha", scheduler_config=asha)
    assert len(printed_rows(searched, results)) == 2
    without_seed = {**TINY["config"], "lr": {"grid_search": [0.1, 0.2]}}
    assert len(printed_rows(experiment(config=without_seed), results)) == 2


def test_samples_without_seeds_are_told_apart_by_their_numbers() -> None:
    results = [of_seed(1, 0.2, 0.9), of_seed(0, 0.2, 0.9)]
    rows = printed_rows(experiment(num_samples=2), results)
    assert rows == [["1", "9", "0.900"], ["0", "9", "0.900"]]


def test_a_trial_without_results_shows_the_settings_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "PTM_multi_task_sc2_1ef19_00003_3_lr=0.1"
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps({"lr": 0.1}))
    begun = FakeResult(None)
    begun.path = str(folder)
    searched = experiment(config={**TINY["config"], "lr": {"grid_search": [0.1, 0.2]}})
    assert printed_rows(searched, [begun]) == [["3", "0.1", "-", "-"]]


def interrupted(number: int, saved: bool, done: bool = False) -> Any:
    result: Any = FakeResult(None)
    result.path = f"PTM_multi_task_sc2_1ef19_0000{number}"
    result.checkpoint = SimpleNamespace(path=f"checkpoint of {number}") if saved else None
    result.metrics["done"] = done
    return result


@pytest.mark.parametrize(
    ("trials", "last_line"),
    [
        ([interrupted(0, saved=False)], "Without a checkpoint there is nothing to resume."),
        ([interrupted(0, saved=True)], "The same command with --resume continues from there."),
        (
            [interrupted(0, saved=True, done=True), interrupted(1, saved=False)],
            "The same command with --resume continues from there. A trial without a checkpoint "
            "begins again.",
        ),
    ],
)
def test_an_interrupted_run_says_what_a_resume_does(trials: list[Any], last_line: str) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    report_interrupted(experiment(), trials, console)
    assert console.export_text().splitlines()[-1] == last_line


def test_each_trial_of_an_interrupted_run_is_named() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    trials = [interrupted(0, saved=True, done=True), interrupted(1, saved=False)]
    report_interrupted(experiment(), trials, console)
    lines = console.export_text().splitlines()
    assert [line for line in lines if line.startswith("tiny")] == [
        "tiny 0: finished",
        "tiny 1: interrupted",
    ]
