"""The files that a trial leaves, row by row."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rllib_ptm.cli.log.files import ProgressCsv, ResultJson
from rllib_ptm.cli.log.tensorboard import TensorBoard

EVALUATION = "evaluation/env_runners/win_rate_mean"
LOSS = "learners/default_policy/loss_ori"
METRICS = ["env_runners/win_rate_mean", EVALUATION, LOSS]


def result(number: int, *, evaluated: bool = False, **learner: float) -> dict[str, Any]:
    """A result as Tune's callbacks get it: some numbers also stand on the first level."""
    made: dict[str, Any] = {
        "training_iteration": number,
        "env_runners": {"win_rate_mean": 0.1 * number},
        "env_runners/win_rate_mean": 0.1 * number,
        "learners": {"default_policy": learner},
        "config": {"lr": 0.1},
    }
    if evaluated:
        made["evaluation"] = {"env_runners": {"win_rate_mean": 0.5, "episodes": {"3m": 7}}}
    return made


@pytest.fixture
def trial(tmp_path: Path) -> Any:
    return SimpleNamespace(
        trial_id="a",
        path=str(tmp_path / "results" / "trial"),
        local_path=str(tmp_path / "session"),
        init_local_path=lambda: (tmp_path / "session").mkdir(exist_ok=True),
        checkpoint=None,
        config={"lr": 0.1},
        evaluated_params={},
    )


def rows_of(trial: Any) -> list[dict[str, str]]:
    with (Path(trial.path) / "progress.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def log(logger: Any, trial: Any, *results: dict[str, Any]) -> None:
    logger.log_trial_start(trial)
    for number, made in enumerate(results):
        logger.log_trial_result(number, trial, made)


def test_the_csv_file_has_all_columns_from_the_first_row_on(trial: Any) -> None:
    logger = ProgressCsv(METRICS)
    log(logger, trial, result(1))
    (first,) = rows_of(trial)  # as a kill would leave it
    assert first[EVALUATION] == first[LOSS] == ""
    assert first["env_runners/win_rate_mean"] == "0.1"
    log(logger, trial, result(2, loss_ori=math.nan), result(3, evaluated=True, loss_ori=2.5))
    rows = rows_of(trial)
    assert [row["training_iteration"] for row in rows] == ["1", "2", "3"]
    assert [row[EVALUATION] for row in rows] == ["", "", "0.5"]
    assert [row[LOSS] for row in rows] == ["", "", "2.5"]  # an empty cell is no value
    assert [row["evaluation/env_runners/episodes/3m"] for row in rows] == ["", "", "7"]
    assert not any("config" in key for key in first)


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_killed_run_goes_on_with_whole_rows(trial: Any, kind: str) -> None:
    make = ResultJson if kind == "json" else lambda: ProgressCsv(METRICS)
    name = "result.json" if kind == "json" else "progress.csv"
    log(make(), trial, result(1))
    with (Path(trial.path) / name).open("a") as file:
        file.write(json.dumps(result(2))[:30])  # killed while it wrote the row
    log(make(), trial, result(2, evaluated=True))
    if kind == "csv":
        assert [row[EVALUATION] for row in rows_of(trial)] == ["", "0.5"]
        return
    lines = (Path(trial.path) / name).read_text().splitlines()
    assert [json.loads(line)["training_iteration"] for line in lines] == [1, 2]


def test_json_has_each_number_once_and_no_nan(trial: Any) -> None:
    logger = ResultJson()
    log(logger, trial, result(1, loss_ori=math.nan))
    (line,) = (Path(trial.path) / "result.json").read_text().splitlines()
    row = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert row["learners"]["default_policy"]["loss_ori"] is None
    assert row["env_runners"] == {"win_rate_mean": 0.1}
    assert "env_runners/win_rate_mean" not in row
    assert json.loads((Path(trial.path) / "params.json").read_text()) == {"lr": 0.1}


def test_nothing_is_written_to_rays_session_folder(trial: Any) -> None:
    """It would be a second copy of all that a run writes, and stay there when the run has ended."""
    for logger in (ResultJson(), ProgressCsv(METRICS), TensorBoard(METRICS)):
        log(logger, trial, result(1), result(2))
        logger.log_trial_end(trial)
    assert not Path(trial.local_path).exists()
    assert list(Path(trial.path).glob("events.out.tfevents.*"))
