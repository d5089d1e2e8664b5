"""The statistics of an evaluation."""

from __future__ import annotations

import pytest

from rllib_ptm.evaluate.runner_group import evaluation_metrics
from rllib_ptm.play.evaluation_episodes import (
    EpisodeOutcome,
    composition_results,
    evaluation_episodes,
    task_results,
)


def outcome(task: str, seed: int, composition: str, success: float = 1.0) -> EpisodeOutcome:
    return EpisodeOutcome(task, seed, success, 10.0 * success, 20, success == 0.0, composition)


def test_an_evaluation_reports_the_share_that_ended_by_the_limit() -> None:
    outcomes = [outcome("a", seed, "", float(seed < 3)) for seed in range(4)]
    metrics = evaluation_metrics(["a", "b"], [*outcomes, outcome("b", 0, "")])
    assert metrics["truncated_share"] == {"a": 0.25, "b": 0.0}


def test_compositions_stand_after_their_task_and_small_ones_first() -> None:
    drawn = ["4s", "1s2z", "10z", "3z", "3s", "2s8z", "3m_vs_4m", "2m_vs_3m"]
    outcomes = [outcome("f", seed, name) for seed, name in enumerate(drawn)]
    found = [row.composition for row in composition_results(["f"], outcomes)]
    assert found == ["", "3s", "1s2z", "3z", "4s", "2m_vs_3m", "3m_vs_4m", "2s8z", "10z"]


def test_a_tasks_own_row_is_the_sum_of_its_compositions() -> None:
    names = {"f": ("2m", "3m", "3m", "3m"), "3z": ("3z",) * 4}
    schedule = evaluation_episodes(["f", "3z"], 4, seed=0)
    outcomes = [
        outcome(task, seed, names[task][number // 2], float(number % 3 == 0))
        for number, (task, seed) in enumerate(schedule)
    ]
    rows = composition_results(["f", "3z"], outcomes)
    assert [(row.task, row.composition, row.episodes) for row in rows] == [
        *(("f", "", 4), ("f", "2m", 1), ("f", "3m", 3), ("3z", "", 4), ("3z", "3z", 4))
    ]
    assert [row for row in rows if not row.composition] == task_results(["f", "3z"], outcomes)
    for row in rows:
        assert row.truncated_share == pytest.approx(1 - row.win_rate)
