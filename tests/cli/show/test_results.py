"""The end of a run: tables, files, and the plot."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ray.tune import Checkpoint, Result
from rich.console import Console

from rllib_ptm.cli.read.experiment_settings import CheckpointSettings
from rllib_ptm.cli.show.plot import plot_win_rates
from rllib_ptm.cli.show.task_table import mean_win_rate, task_table, write_results
from rllib_ptm.cli.show.trial_report import checkpoint_to_play, read_progress
from rllib_ptm.envs.starcraft.tasks import TASK_SETS
from rllib_ptm.play.evaluation_episodes import TaskResult

RESULTS = [
    TaskResult("5m_vs_5m", 100, 80, 0.8, (0.711, 0.867), 17.25, 21.5, 0.0),
    TaskResult("5m_vs_6m", 100, 5, 0.05, (0.0215, 0.112), 9.0, 24.0, 0.31),
]


def test_the_table_has_a_row_per_task_and_the_mean(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=100).print(task_table(RESULTS))
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]
    assert cells == [
        ["5m_vs_5m", "80/100", "80.0 %", "71.1 - 86.7 %", "17.25", "21.5", "0 %"],
        ["5m_vs_6m", "5/100", "5.0 %", "2.1 - 11.2 %", "9.00", "24.0", "31 %"],
        ["mean", "", "42.5 %", "", "", "", ""],
    ]


def test_the_table_fits_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the name of the task is broken, if it is long."""
    long = replace(RESULTS[0], task="smacv2_protoss_20_vs_23", episodes=1000)
    Console(width=80).print(task_table([*RESULTS, long]))
    printed = capsys.readouterr().out
    assert all(len(line) <= 80 for line in printed.splitlines())
    for text in ("80/1000", "71.1 - 86.7 %", "timeout", "31 %"):
        assert text in printed


def test_a_return_that_is_a_rounding_error_has_no_sign(capsys: pytest.CaptureFixture[str]) -> None:
    """The rewards of a battle whose enemies regain what they lose sum to 0, as far as float32."""
    Console(width=80).print(task_table([replace(RESULTS[0], return_mean=-1e-7)]))
    printed = capsys.readouterr().out
    assert " 0.00 " in printed
    assert "-0.00" not in printed


BY_COMPOSITION = [
    TaskResult("2-3m", 4, 2, 0.5, (0.2, 0.8), 10.0, 20.0, 0.25),
    TaskResult("2-3m", 3, 1, 1 / 3, (0.1, 0.8), 8.0, 22.0, 1 / 3, "2m"),
    TaskResult("2-3m", 1, 1, 1.0, (0.2, 1.0), 16.0, 14.0, 0.0, "3m"),
    TaskResult("5m_vs_6m", 4, 0, 0.0, (0.0, 0.5), 3.0, 20.0),
    TaskResult("5m_vs_6m", 4, 0, 0.0, (0.0, 0.5), 3.0, 20.0, 0.0, "5m_vs_6m"),
]


def test_compositions_stand_below_their_task(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Console(width=80).print(task_table(BY_COMPOSITION))
    rows = [line.split("│")[1:3] for line in capsys.readouterr().out.splitlines() if "│" in line]
    names = [name.rstrip()[1:] for name, _ in rows]
    assert names == ["2-3m", "  2m", "  3m", "5m_vs_6m", "mean"]
    assert rows[1][1].strip() == "1/3"
    write_results(BY_COMPOSITION, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open() as file:
        stored = list(csv.DictReader(file))
    assert [(row["task"], row["composition"]) for row in stored] == [
        ("2-3m", ""),
        ("2-3m", "2m"),
        ("2-3m", "3m"),
        ("5m_vs_6m", ""),
    ]
    assert mean_win_rate(BY_COMPOSITION) == 0.25  # over tasks


def test_files_hold_what_the_table_shows(tmp_path: Path) -> None:
    write_results(RESULTS, tmp_path / "x.json")
    write_results(RESULTS, tmp_path / "x.csv")
    stored = json.loads((tmp_path / "x.json").read_text())
    assert stored[1] == {
        "task": "5m_vs_6m",
        "episodes": 100,
        "wins": 5,
        "win_rate": 0.05,
        "win_rate_low": 0.0215,
        "win_rate_high": 0.112,
        "return_mean": 9.0,
        "length_mean": 24.0,
        "truncated_share": 0.31,
    }
    with (tmp_path / "x.csv").open() as file:
        assert list(csv.DictReader(file)) == [{k: str(v) for k, v in row.items()} for row in stored]


def iteration(number: int, **more: float) -> str:
    return json.dumps(
        {
            "training_iteration": number,
            "num_env_steps_sampled_lifetime": 1000 * number,
            "env_runners": {"win_rate": {"5m_vs_5m": number / 10, "5m_vs_6m": 0.0}},
            "learners": {"default_policy": more},
            "config": {"lr": 0.1},
        }
    )


def test_the_csv_file_gets_the_columns_of_all_iterations(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(f"{iteration(1)}\n{iteration(2, loss_ori=0.5)}\n")
    (tmp_path / "progress.csv").write_text("training_iteration\n1\n2,0.5\n")  # as Tune leaves it
    read_progress(tmp_path)
    with (tmp_path / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["learners/default_policy/loss_ori"] for row in rows] == ["", "0.5"]
    assert not any("config" in key for key in rows[0])


def test_the_picture_shows_a_curve_and_a_marker_per_task(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("\n".join(iteration(n) for n in range(1, 10)))
    table = read_progress(tmp_path)
    drawn = {}
    for name, final in (("with", {"5m_vs_5m": 0.9, "5m_vs_6m": 0.1}), ("without", {})):
        out = tmp_path / f"{name}.png"
        plot_win_rates(table, final, "small", out)
        with Image.open(out) as picture:
            drawn[name] = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    colours = {tuple(colour) for colour in np.unique(drawn["with"], axis=0)}
    first, second = (63, 144, 218), (255, 169, 14)  # matplotlib's petroff10
    assert {first, second} <= colours
    for colour in (first, second):  # the markers
        with_marker, without = ((p == colour).all(1).sum() for p in drawn.values())
        assert with_marker > without + 50


@pytest.mark.filterwarnings("error")  # such as that of a legend that leaves no room
def test_of_many_tasks_the_plot_names_their_mean(tmp_path: Path) -> None:
    tasks = TASK_SETS["refil_3-8sz"]
    curves = {f"env_runners/win_rate/{task}": [0.1, 0.2] for task in tasks}
    steps = {"num_env_steps_sampled_lifetime": [100, 200]}
    table = pd.DataFrame({**steps, **curves, "env_runners/win_rate_mean": [0.5, 0.6]})
    plot_win_rates(table, dict.fromkeys(tasks, 0.3), "many", tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        colours = [colour for _, colour in picture.convert("RGB").getcolors(1 << 20) or ()]
    first, second, grey = (63, 144, 218), (255, 169, 14), (187, 187, 187)
    assert {first, grey} <= set(colours)
    assert second not in colours


@pytest.mark.parametrize(
    ("score", "order", "played"),
    [
        ("evaluation/env_runners/win_rate_mean", "max", ("second", "best")),
        ("evaluation/env_runners/win_rate_mean", "min", ("first", "best")),
        ("evaluation/env_runners/return_mean", "max", ("last", "last")),  # of no checkpoint
        (None, "max", ("last", "last")),
    ],
)
def test_the_best_checkpoint_is_played_where_a_score_says_which(
    score: str | None, order: str, played: tuple[str, str]
) -> None:
    kept: list[tuple[Checkpoint, dict]] = [
        (Checkpoint("/first"), {"evaluation": {"env_runners": {"win_rate_mean": 0.5}}}),
        (Checkpoint("/second"), {"evaluation": {"env_runners": {"win_rate_mean": 0.8}}}),
        (Checkpoint("/last"), {"env_runners": {"win_rate_mean": 0.9}}),  # without an evaluation
    ]
    last, metrics = kept[-1]
    result = Result(metrics=metrics, checkpoint=last, error=None, path=".", best_checkpoints=kept)
    settings = CheckpointSettings(checkpoint_score_attribute=score, checkpoint_score_order=order)
    checkpoint, which = checkpoint_to_play(settings, result)
    assert (Path(checkpoint.path).name, which) == played
