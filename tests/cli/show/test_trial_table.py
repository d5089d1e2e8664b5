"""The order of a search's trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ray.tune import Result
from rich.console import Console
from searches import TINY, experiment

from rllib_ptm.cli.show.trial_table import best_first, trial_table


class FakeResult:
    def __init__(self, score: float | None, error: Exception | None = None) -> None:
        self.metrics = {"env_runners": {"win_rate_mean": score}}
        self.error = error
        self.path = "no such folder"


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
        line.split("│")[-3].strip() for line in console.export_text().splitlines() if "│ " in line
    ]
    assert shown == ["0.500", "0.400", "0.200", "-"]
