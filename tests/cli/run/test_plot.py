"""``rllib plot`` as a user types it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from run_folders import row, seeds_of, write_run

from rllib_ptm.cli.main import main
from rllib_ptm.cli.show.summary_table import summary_table
from rllib_ptm.results.statistics import Estimate
from rllib_ptm.results.summary import GroupSummary, summarise

RATES = [(0.1, 0.0), (0.4, 0.2), (0.6, 0.5)]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for method in ("refil", "ptm"):
        rates = {s: [(a, b + s / 10) for a, b in RATES] for s in range(3)}
        seeds_of(folder, f"small_mt-{method}", rates, method=method)
    return folder


def cells(printed: str) -> list[list[str]]:
    lines = [line for line in printed.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_without_a_file_a_summary_is_printed(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run's value is the mean of its last three evaluations: .3, .35 and .4; of the fourth .6.

    The six win rates of refil are .233, .333, .367 (thrice) and .433; the IQM leaves the first and
    the last out.
    """
    params = {"method": "ptm", "seed": 3}
    rows = [row(n, params, (0.6, 0.6)) for n in (2, 4)]
    write_run(results, "small_mt-ptm-2", params, {"PTM_3": (params, rows)})
    (results / "small_mt-ptm-2/experiment.json").unlink()
    (results / "small_mt-ptm-2/PTM_3").rename(results / "small_mt-ptm/PTM_3")
    assert main(["plot", str(results / "small_mt-ptm"), str(results / "small_mt-refil")]) == 0
    printed = capsys.readouterr().out
    assert "small_mt: ptm, seed 3: unfinished, at 4,000 steps" in printed
    assert "small_mt: win_rate_mean, in per cent" in printed
    first, second = cells(printed)
    assert first[:4] == ["ptm", "4 *", "37.5", "33.8 - 45.0"]
    assert second[:5] == ["refil", "3", "35.0", "32.5 - 37.5", "35.8"]
    assert second[6:] == ["35.0", "0.0"]  # the area of the middle run: (.1 + 2 * .35 + .6) / 4


@pytest.mark.parametrize(("value", "rate"), [(1.0, True), (-1e9 / 3, False)])
def test_the_summary_fits_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], value: float, rate: bool
) -> None:
    """Cells have several lines where they must, and nothing is cut."""
    found = Estimate(np.array(value), np.array(0.977 * value), np.array(value))
    group = "ptm mining_lambda=0.001 lr=0.1"
    summary = GroupSummary("small_mt", group, 12, 1, found, found, value, 123.4)
    Console(width=80).print(summary_table([summary], "small_mt", rate=rate))
    printed = capsys.readouterr().out
    assert all(len(line) <= 80 and line[-1:] in " ┓┃┩│┘" for line in printed.splitlines())
    columns = zip(*cells(printed), strict=True)
    written = ["".join(column).replace(" ", "") for column in columns]
    numbers = ("97.7-100.0", "100.0") if rate else ("-3.257e+08--3.333e+08", "-3.333e+08")
    assert written[:3] == [group.replace(" ", ""), "12*", numbers[1]]
    assert (written[3], written[-1]) == (numbers[0], "123.4")


def test_files_are_written_and_read_again(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv, figure, marl = (tmp_path / name for name in ("curves.csv", "a.svg", "m.json"))
    exports = ["--export", str(csv), "--marl-eval", str(marl)]
    assert main(["plot", str(results), *exports, "--out", str(figure)]) == 0
    written = [line for line in capsys.readouterr().out.splitlines() if "Written" in line]
    assert written == [f"Written to {file}" for file in (figure, csv, marl)]
    again = tmp_path / "b.svg"
    assert main(["plot", str(csv), "--out", str(again)]) == 0
    assert again.read_bytes() == figure.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing: there is no such file or folder; expected a results folder of"),
        ([".", "--figure", "bars"], "--figure: 'bars' is unknown; "),
        ([".", "--out", "a.bmp"], "--out: expected a file name that ends in .png, .svg, .pdf"),
        ([".", "--export", "a.xls"], "--export: expected a file name that ends in .csv, found"),
        ([".", "--marl-eval", "none/a.json"], "--marl-eval: there is no folder 'none'"),
        ([".", "--export", "folder.csv"], "--export: expected a file, found the folder"),
        (["."], ".: it holds no runs; expected a results folder of rllib train"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    assert main(["plot", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rllib: {message}")


def test_without_rliable_the_summary_has_the_median_alone(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rllib_ptm.cli.run.plot.is_installed", lambda: False)
    assert main(["plot", str(results)]) == 0
    printed = capsys.readouterr().out
    assert cells(printed)[0] == ["ptm", "3", "35.0", "32.5 - 37.5", "35.0", "0.0"]
    assert "need rliable: pip install 'rllib-ptm[plot]'" in printed


def test_groups_are_summarised_by_any_key_and_metric(results: Path) -> None:
    from rllib_ptm.results import read_runs

    runs = read_runs([results])
    (ptm, refil) = summarise(runs, "method", "learners/default_policy/grad_norm", intervals=False)
    assert (ptm.group, refil.group, ptm.runs) == ("ptm", "refil", 3)
    assert ptm.median.value == pytest.approx((10 / 4 + 10 / 5 + 10 / 6) / 3)


def test_what_differs_beside_the_methods_is_said(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """Other tasks, and an end that is more than an evaluation away."""
    assert main(["plot", str(results)]) == 0
    assert not [line for line in capsys.readouterr().out.splitlines() if "small_mt: the" in line]
    seeds_of(results, "small_mt-qmix_atten", {0: [*RATES, *RATES]}, method="qmix_atten")
    monkeypatch.setattr("run_folders.TASKS", ("5m_vs_5m", "3m_vs_3m"))
    seeds_of(results, "small_mt-vdn", {0: RATES}, method="vdn")
    seeds_of(tmp_path / "more", "other-ptm", {0: [*RATES, *RATES]}, method="ptm")
    assert main(["plot", str(results)]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "small_mt: the" in line]
    assert said == [
        "small_mt: the runs were evaluated on different tasks (ptm: 5m_vs_5m, 5m_vs_6m; vdn: "
        "3m_vs_3m, 5m_vs_5m), so their means do not compare",
        "small_mt: the finished runs end between 6,000 steps (ptm) and 12,000 steps (qmix_atten); "
        "each counts with its own last evaluations",
    ]
    paths = [str(results / "small_mt-refil"), str(tmp_path / "more")]
    assert main(["plot", *paths, "--metric", "win_rate/5m_vs_5m", "--join"]) == 0
    printed = capsys.readouterr().out
    assert "small_mt and other: the finished runs end between 6,000 steps (refil) and" in printed
    assert "different tasks" not in printed


@pytest.mark.parametrize("metric", ["win_rate_mean", "win_rate/5m_vs_5m"])
def test_a_run_that_is_not_evaluated_yet_counts_for_nothing(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str
) -> None:
    params = {"method": "ptm", "seed": 9}
    rows = [row(n, params, None) for n in (1, 2)]
    begun = write_run(tmp_path / "begun", "small_mt-ptm", params, {"PTM_9": (params, rows)})
    assert main(["plot", str(begun), "--metric", metric]) == 0
    assert cells(capsys.readouterr().out) == [["ptm", "0 *", "-", "-", "-", "-", "-", "0.0"]]
    figure = ["--out", str(tmp_path / "a.svg"), "--metric", metric]
    assert main(["plot", str(begun), *figure]) == 2
    message = f"rllib: --metric {metric}: no run has two values of it yet, so there is no curve\n"
    assert capsys.readouterr().err == message
    assert main(["plot", str(begun), str(results), *figure]) == 0
    assert main(["plot", str(begun), "--metric", "env_runners/win_rate_mean"]) == 0
    assert cells(capsys.readouterr().out)[0][:3] == ["ptm", "1 *", "15.0"]
