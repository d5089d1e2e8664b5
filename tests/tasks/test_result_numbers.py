"""What loggers, schedulers and Tune's checkpoints get of a result."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ray.train._internal.checkpoint_manager import _CheckpointManager
from ray.train._internal.session import _TrainingResult
from ray.tune import Checkpoint, CheckpointConfig

from rllib_ptm.tasks.metrics import METRICS, metric_paths
from rllib_ptm.tasks.results import ParameterCounts, checkpoint_metrics, python_numbers

TASKS = ["3m_vs_3m"]
PATHS = [key for path in METRICS for key in metric_paths(path, TASKS, TASKS)]


def result_with(key: str, value: float | None) -> dict[str, Any]:
    """A nested result, as ``train()`` returns it; without the metric if there is no value."""
    result: dict[str, Any] = {"training_iteration": 3, "config": {"lr": 0.1}}
    if value is not None:
        *outer, last = key.split("/")
        place = result
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value
    return result


def kept(folder: Path, key: str, scores: list[float | None], keep: int, order: str) -> set[int]:
    """The numbers of the checkpoints that Tune keeps, one for each score."""
    config = CheckpointConfig(
        num_to_keep=keep, checkpoint_score_attribute=key, checkpoint_score_order=order
    )
    manager = _CheckpointManager(config)
    for number, score in enumerate(scores):
        path = folder / f"{number}"
        path.mkdir(parents=True)
        metrics = checkpoint_metrics(result_with(key, score), PATHS)
        manager.register_checkpoint(_TrainingResult(Checkpoint(str(path)), metrics))
    return {int(path.name) for path in folder.iterdir()}


@pytest.mark.parametrize("key", PATHS)
def test_every_metric_decides_which_checkpoints_stay(tmp_path: Path, key: str) -> None:
    """The last one stays in any case, because a run resumes from it."""
    scores = [0.94, 0.64, 0.33, 0.18, 0.05]
    assert kept(tmp_path / "two", key, [*scores], 2, "max") == {0, 1, 4}
    assert kept(tmp_path / "one", key, [*scores], 1, "max") == {0, 4}
    assert kept(tmp_path / "min", key, [*scores], 2, "min") == {3, 4}


@pytest.mark.parametrize(
    ("keep", "scores", "expected"),
    [
        (1, [None, 0.5, None, 0.9, None, None], {3, 5}),
        (1, [0.9, None, 0.5, None, 0.9], {4}),  # of equal ones the newest
        (2, [0.9, None, 0.5, None, None], {0, 2, 4}),
        (2, [None, None, None, None], {2, 3}),
        (2, [0.9, math.nan, 0.5, math.nan], {0, 2, 3}),
    ],
)
@pytest.mark.parametrize("order", ["max", "min"])
def test_a_checkpoint_without_a_score_displaces_none(
    tmp_path: Path, keep: int, scores: list[float | None], expected: set[int], order: str
) -> None:
    key = "evaluation/env_runners/win_rate_mean"
    signed = [None if s is None else s if order == "max" else -s for s in scores]
    assert kept(tmp_path, key, signed, keep, order) == expected


def test_what_tune_holds_for_a_checkpoint_is_small() -> None:
    """It holds these metrics in memory and writes them to its state file, for each checkpoint."""
    result = {**result_with("env_runners/win_rate_mean", 0.5), "config": {"k": ["x"] * 10_000}}
    assert "config" not in checkpoint_metrics(result, PATHS)


def test_numbers_become_pythons() -> None:
    result = {
        "a": np.float64(0.5),
        "b": {"c": np.int64(3), "d": [np.float32(0.25), (np.bool_(True), "x")]},
        "e": np.arange(2),
    }
    made = python_numbers(result)
    assert made.pop("e") is result["e"]  # arrays are no numbers
    assert yaml.safe_load(yaml.safe_dump({**made["b"], "d": made["b"]["d"][:1]}))
    assert made == {"a": 0.5, "b": {"c": 3, "d": [0.25, (True, "x")]}}
    assert type(made["a"]) is float
    assert type(made["b"]["c"]) is int
    assert type(made["b"]["d"][1][0]) is bool


def test_a_number_that_rllib_logs_once_stays() -> None:
    counts = ParameterCounts()
    for logged in (12.0, math.nan, math.nan):
        result = {"learners": {"p": {"num_trainable_parameters": logged, "x": math.nan}}}
        counts.fill_in(result)
        assert result["learners"]["p"]["num_trainable_parameters"] == 12.0
    counts.fill_in({})  # nothing was learnt yet
