"""The order of a search's trials."""

from __future__ import annotations

from typing import Any

from searches import experiment

from rllib_ptm.cli.show.trial_table import best_first


class FakeResult:
    def __init__(self, score: float | None, error: Exception | None = None) -> None:
        self.metrics = {"env_runners": {"win_rate_mean": score}}
        self.error = error


def test_the_best_trial_comes_first_and_the_failed_ones_last() -> None:
    results = [FakeResult(0.9, RuntimeError()), FakeResult(0.1), FakeResult(None), FakeResult(0.5)]
    ranked: Any = best_first(experiment(), results)
    assert [r.metrics["env_runners"]["win_rate_mean"] for r in ranked] == [0.5, 0.1, 0.9, None]
