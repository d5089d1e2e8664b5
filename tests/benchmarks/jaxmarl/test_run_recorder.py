"""What is kept of what a training logs, with times that are set by hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from baseline_run import BaselineRun
from run_recorder import COLUMNS, Clocks, RunRecorder, wandb_stub, without_tests

QMIX = BaselineRun("qmix", "5m_vs_6m", seed=1, num_envs=16, env_steps=8192)
IPPO = replace(QMIX, algorithm="ippo", num_envs=128)


class Training:
    """A training whose updates take so many seconds, on two processors."""

    def __init__(self, run: BaselineRun, file: Path, test_every: int) -> None:
        self.file, self.time, self.left = file, 100.0, list[int]()
        self.recorder = RunRecorder(run, file, self.clocks, self.left.append)
        self.recorder.start(Clocks(30.0, 45.0), test_every)
        self.updates = 0

    def clocks(self) -> Clocks:
        return Clocks(self.time, 2 * self.time)

    def update(self, seconds: float, win_rate: float = 0.0) -> None:
        self.time += seconds
        self.updates += 1
        metrics = {
            "env_step": 2048 * self.updates,
            "test_returned_won_episode": win_rate,
            "win_rate": win_rate,
            "loss": float("nan"),
        }
        self.recorder.log(metrics, step=self.updates)

    def rows(self) -> list[dict[str, str]]:
        with self.file.open(newline="") as lines:
            return list(csv.DictReader(lines))


Start = Callable[[BaselineRun, int], Training]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return lambda run, test_every: Training(run, tmp_path / run.file_name, test_every)


def test_a_row_per_test_has_the_time_without_tests(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """Updates take 2 s. A test takes 7 s; one of the untrained policy is in the first update."""
    training = start(QMIX, 3)
    for seconds, win_rate in ((9, 0.0), (2, 0.0), (9, 0.25), (2, 0.25), (2, 0.25), (9, 0.5)):
        training.update(seconds, win_rate)
    training.recorder.finish()

    first, second = training.rows()
    assert tuple(first) == COLUMNS
    assert first == {
        **{"algorithm": "qmix", "scenario": "5m_vs_6m", "seed": "1", "num_envs": "16"},
        **{"env_steps": "6144", "seconds": "6.00", "processor_seconds": "12.00"},
        **{"test_seconds": "14.00", "compile_seconds": "30.00"},
        **{"compile_processor_seconds": "45.00", "win_rate": "0.2500", "metric": "greedy test"},
    }
    assert [second[name] for name in COLUMNS[4:8]] == ["12288", "12.00", "24.00", "21.00"]
    assert capsys.readouterr().out.splitlines() == [
        "qmix on 5m_vs_6m, seed 1, 16 envs: 6,144 env steps, 6 s: win rate 0.25",
        "qmix on 5m_vs_6m, seed 1, 16 envs: 12,288 env steps, 12 s: win rate 0.50",
    ]


def test_sampled_battles_have_the_time_before_their_update(start: Start) -> None:
    training = start(IPPO, 1)
    for win_rate in (0.0, 0.5, 1.0):
        training.update(4, win_rate)
    training.recorder.finish()
    rows = training.rows()
    assert [row["seconds"] for row in rows] == ["0.00", "4.00", "8.00"]
    assert [row["win_rate"] for row in rows] == ["0.0000", "0.5000", "1.0000"]
    assert {row["metric"] for row in rows} == {"training, actions sampled"}
    assert {row["test_seconds"] for row in rows} == {"0.00"}


def test_a_file_has_its_name_only_when_the_run_is_finished(start: Start) -> None:
    training = start(QMIX, 1)
    training.update(1)
    assert not training.file.exists()
    training.recorder.finish()
    assert [file.name for file in training.file.parent.iterdir()] == [training.file.name]


def test_a_run_ends_with_the_first_report_after_its_seconds(start: Start) -> None:
    training = start(replace(QMIX, seconds=10), 2)
    for _ in range(3):
        training.update(3)
    assert not training.left  # 6 s at the last report
    training.update(3)
    assert training.left == [0]
    assert [row["seconds"] for row in training.rows()] == ["6.00", "12.00"]


def test_without_updates_between_tests_the_tests_count() -> None:
    assert without_tests([5.0]) == 5.0
    assert without_tests([9.0, 5.0], first=1) == 14.0
    assert without_tests([2.0, 3.0, 100.0]) == 7.5
    assert without_tests([2.0, 1.0]) == 3.0  # no test takes less than no time


def test_the_stub_logs_to_the_recorder(start: Start) -> None:
    training = start(QMIX, 1)
    wandb = wandb_stub(training.recorder)
    assert wandb.__name__ == "wandb"
    wandb.log({"env_step": 2048, "test_returned_won_episode": 0.125})
    training.recorder.finish()
    assert training.rows()[0]["win_rate"] == "0.1250"
