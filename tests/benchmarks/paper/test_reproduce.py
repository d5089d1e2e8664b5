"""``make results`` on a miniature: trains, is interrupted, goes on, plays, and draws."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from searches import TINY

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "benchmarks" / "paper" / "reproduce.py"
CONFIG = TINY["config"] | {"evaluation_interval": 1, "evaluation_duration": 2}
ENTRY = TINY | {
    "stop": {"num_env_steps_sampled_lifetime": 1000},
    "checkpoint_config": {"checkpoint_frequency": 1, "num_to_keep": 1},
}
SEEDS = {"grid_search": [0, 1, 2]}
EXPERIMENT = {
    "tiny-qmix_atten": ENTRY | {"config": CONFIG | {"method": "qmix_atten", "seed": SEEDS}},
    "tiny-refil": ENTRY | {"config": CONFIG | {"method": "refil", "seed": {"grid_search": [0]}}},
}


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Runs the script in a folder, on the miniature."""
    places = ["--experiments", "paper", "--docs", "docs"]
    command = [sys.executable, str(SCRIPT), "tiny", *places, *options]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def results_of(folder: Path) -> dict[str, int]:
    """The number of results of each trial's folder."""
    files = sorted((folder / "results").glob("*/*/result.json"))
    return {file.parent.name: len(file.read_text().splitlines()) for file in files}


def finished_runs(folder: Path) -> list[tuple[str, str]]:
    with (folder / "docs" / "tiny" / "runs.csv").open() as file:
        return [(row["variant"], row["seed"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_a_run_that_is_interrupted_goes_on_and_nothing_is_trained_twice(tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "tiny.yaml").write_text(yaml.safe_dump(EXPERIMENT))

    process = start(tmp_path)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        results = results_of(tmp_path)
        if len(results) == 2 and max(results.values()) >= 3:
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    interrupted = results_of(tmp_path)
    assert len(interrupted) == 2, output  # two at once

    process = start(tmp_path)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert "continues results/tiny-qmix_atten" in output
    assert finished_runs(tmp_path) == [("qmix_atten", seed) for seed in "012"] + [("refil", "0")]
    results = results_of(tmp_path)
    assert len(results) == 4
    assert all(results[name] >= number for name, number in interrupted.items())
    files = {file.name: file.read_text() for file in (tmp_path / "docs" / "tiny").glob("*.csv")}
    assert files.keys() == {"curves.csv", "final.csv", "runs.csv", "summary.csv"}
    assert files["final.csv"].count("\n") == 1 + 4 * 2  # a row per run and task
    page = (tmp_path / "docs" / "README.md").read_text()
    assert "4 of 4 runs" in page

    # On another machine, which has the CSV files alone, nothing is left to train.
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    process = start(tmp_path)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert not (tmp_path / "results").exists()
    again = {file.name: file.read_text() for file in (tmp_path / "docs" / "tiny").glob("*.csv")}
    assert again == files
    assert (tmp_path / "docs" / "README.md").read_text() == page

    # The runs can be imported again from the folders of rllib train.
    (tmp_path / "docs").rename(tmp_path / "docs_before")
    process = start(tmp_path, "--import", "--results", "elsewhere")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    imported = {file.name: file.read_text() for file in (tmp_path / "docs" / "tiny").glob("*.csv")}
    assert imported == files
