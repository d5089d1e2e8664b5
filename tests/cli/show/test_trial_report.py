"""The report of a trial that has ended."""

from __future__ import annotations

import pathlib
import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayTaskError
from ray.tune import Checkpoint
from rich.console import Console

from rllib_ptm.cli.read.experiment_settings import CheckpointSettings
from rllib_ptm.cli.show.trial_report import report_trial


def test_a_failed_trial_says_why_and_where_its_log_is(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        raise RuntimeError("Unable to initialize backend 'nonsense'")
    except RuntimeError as error:  # as it comes from the trial's process
        failed = RayTaskError("PTM.train", traceback.format_exc() + "A note follows.", error)
    log = tmp_path / "error.txt"
    log.write_text("nonsense")
    experiment: Any = SimpleNamespace(name="mine")
    result: Any = SimpleNamespace(path=str(tmp_path), error=failed, checkpoint=None)
    assert not report_trial(experiment, result, 1, Console(quiet=True))
    assert capsys.readouterr().err.splitlines() == [
        "mine: a trial failed: RuntimeError: Unable to initialize backend 'nonsense'",
        f"The whole story: {log}",
    ]


def test_a_damaged_checkpoint_is_not_played_and_one_line_says_so(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "contents.json").write_text("{}")
    experiment: Any = SimpleNamespace(
        name="mine", checkpoint=CheckpointSettings(), config={"env": "multi_task_sc2"}
    )
    result: Any = SimpleNamespace(
        path=str(tmp_path),
        error=None,
        checkpoint=Checkpoint.from_directory(str(tmp_path)),
        best_checkpoints=[],
    )
    assert not report_trial(experiment, result, 1, Console(quiet=True))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mine: the last checkpoint cannot be played: {tmp_path}: contents.json")
