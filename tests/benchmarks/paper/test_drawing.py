"""Figures and tables of ``docs/results/``: they follow from the CSV files there alone."""

import csv
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from csv_files import write_table
from drawing import FIGURES, SUMMARY
from front_page import NAME as METHODS
from front_page import methods_table
from page import PAGE, begins
from planned_runs import experiment_files, read_experiment_file
from questions import QUESTIONS, Question
from reproduce import run
from results_folder import write_run
from results_place import FINAL, STEPS, Place
from run_store import RUNS, RunStore
from summary import COLUMNS

ROOT = Path(__file__).resolve().parents[3]
RESULTS, EXPERIMENTS = ROOT / "docs" / "results", ROOT / "tuned_examples" / "paper"
DRAWN = [file.parent for file in sorted(RESULTS.glob(f"*/{RUNS}"))]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Two runs of two variants have finished."""
    place = Place(tmp_path)
    for entry, variant in (
        ("tiny-qmix_atten", "qmix_atten"),
        ("tiny-ptm", "ptm mining_lambda=3"),
    ):
        folder = place.begin(entry)
        for seed, steps in ((0, 3000), (1, 4000)):
            place.train(folder, variant, seed, steps=steps, final=FINAL)
    place.add()
    return place


@pytest.fixture
def empty_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are empty files, which takes no time."""
    monkeypatch.setattr("drawing.draw_figure", lambda runs, out, settings: out.write_text(""))


@pytest.mark.usefixtures("empty_figures")
def test_the_page_has_the_tables_and_keeps_what_is_written_by_hand(place: Place) -> None:
    assert place.command("--draw-only") == 0
    page = (place.docs / PAGE).read_text()
    assert "## tiny\n\n<!-- generated: tiny -->\n4 of 9 runs" in page
    row = next(line for line in page.splitlines() if line.startswith("| `ptm mining_lambda=3`"))
    # The last three evaluations: .1 .2 .3, and .2 .3 .4.
    assert row.startswith(
        "| `ptm mining_lambda=3` | 2 of 3 | .25 | .23 to .28 | .25 | .20 to .30 |"
    )
    with (place.docs / "tiny" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == ["qmix_atten", "ptm mining_lambda=3"]
    assert {row["median"] for row in rows} == {"0.2500"}
    assert {row["hours"] for row in rows} == {"0.02"}
    for theme in ("light", "dark"):
        assert f"tiny/curves-{theme}.svg" in page
        assert (place.docs / "tiny" / f"curves-{theme}.svg").is_file()

    by_hand = page.replace("# Results\n", "# Results\n\nAn introduction.\n") + "\nA last word.\n"
    (place.docs / PAGE).write_text(by_hand.replace("4 of 9", "0 of 9"))
    assert place.command("--draw-only") == 0
    assert (place.docs / PAGE).read_text() == by_hand


@pytest.mark.usefixtures("empty_figures")
def test_an_unfinished_part_of_the_page_is_refused(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.docs / PAGE).write_text("# Results\n<!-- generated: tiny -->\nhalf of it\n")
    assert place.command("--draw-only") == 2
    assert "<!-- generated: tiny --> without <!-- end: tiny -->" in capsys.readouterr().err


def test_the_front_page_has_a_row_for_each_comparison_of_methods(tmp_path: Path) -> None:
    numbers = dict.fromkeys(COLUMNS, "0.5") | {"runs": "6", "median": "0.816", "low": "0.7"}
    methods = [{**numbers, "experiment": "tiny", "variant": v} for v in ("ptm", "qmix_atten")]
    beside = {**numbers, "experiment": "tiny", "variant": "refil"}  # shown in another's table
    fewer = [
        methods[0] | {"experiment": "partly"},
        methods[1] | {"experiment": "partly", "runs": "2"},
    ]
    rows_of = {"tiny": methods, "parts": [beside], "search": [methods[0]], "partly": fewer}
    for name, rows in rows_of.items():
        (tmp_path / name).mkdir()
        write_table(tmp_path / name / SUMMARY, COLUMNS, rows)
    names = ["tiny", "parts", "search", "planned", "partly"]
    *_, row, under_way = methods_table(tmp_path, names, SUMMARY).splitlines()
    cell = ".82 (.70 to .50)"
    assert row == f"| [tiny](docs/results/README.md) | 6 | {cell} | - | {cell} | - |"
    assert under_way == f"| [partly](docs/results/README.md) | 2 to 6 | {cell} | - | {cell} | - |"
    assert methods_table(tmp_path, ["parts", "planned"], SUMMARY) == ""


def test_the_projects_page_gets_the_table(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproduce.methods_table", lambda *_: "the table")
    monkeypatch.setitem(QUESTIONS, "tiny", Question("What?", figures=()))
    front = tmp_path / "project" / PAGE
    place.docs = Path(shutil.copytree(place.docs, front.parent / "docs" / "results"))
    for text in ("# Project\n", f"# Project\n{begins(METHODS)}\nold\n<!-- end: {METHODS} -->\n"):
        front.write_text(text)
        assert place.command("--draw-only") == 0
        assert front.read_text() == text.replace("old", "the table")


@pytest.mark.usefixtures("empty_figures")
def test_runs_of_other_experiments_and_further_tasks_are_shown(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (place.experiments / "tiny.yaml").read_text().replace("tiny-", "more-")
    (place.experiments / "more.yaml").write_text(text)
    config = place.experiment.entry("tiny-qmix_atten").config
    folder = write_run(place.results, "more-qmix_atten", config, STEPS)
    place.train(folder, "qmix_atten", 2, final=FINAL)
    beside = {"tiny": ("ptm mining_lambda=3",)}
    monkeypatch.setitem(QUESTIONS, "more", Question("What more?", beside=beside))
    monkeypatch.setitem(QUESTIONS, "tiny", Question("What?", further_tasks=("2m_vs_2m",)))
    store = place.store
    for key, one in store.runs.items():
        store.runs[key] = replace(one, further=[{**FINAL[0], "task": "2m_vs_2m"}])
    store.write()

    folders = ["--experiments", str(place.experiments), "--docs", str(place.docs)]
    assert run(["more", "tiny", *folders, "--results", str(place.results), "--import"]) == 0
    page = (place.docs / PAGE).read_text()
    more, tiny = page.split("## What?")
    assert "## What more?" in more
    assert "| `ptm mining_lambda=3` (of tiny) | 2 of 3 |" in more
    assert "| `qmix_atten` | 1 of 3 |" in more
    assert "| task | `qmix_atten` | `ptm mining_lambda=3` |" in tiny
    assert "| 2m_vs_2m | .75 (.75 to .75) | .75 (.75 to .75) |" in tiny


def test_figures_are_drawn_for_light_and_dark_pages(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(QUESTIONS, "tiny", Question("What?", figures=("curves",)))
    assert place.command("--draw-only") == 0
    light, dark = (place.docs / "tiny" / f"curves-{theme}.svg" for theme in ("light", "dark"))
    assert light.read_text().startswith("<?xml")
    assert light.read_text() != dark.read_text()


def test_every_figure_that_is_asked_for_exists() -> None:
    for asked in QUESTIONS.values():
        assert set(asked.figures) <= FIGURES.keys()


def test_committed_medians_are_those_of_the_committed_runs() -> None:
    for folder in DRAWN:
        store = RunStore.load(read_experiment_file(EXPERIMENTS, folder.name), RESULTS)
        store.check()
        with (folder / SUMMARY).open() as file:
            rows = [row for row in csv.DictReader(file) if row["experiment"] == folder.name]
        assert sum(int(row["runs"]) for row in rows) == len(store.runs)
        for row in rows:
            runs = [one.run for (of, _), one in store.runs.items() if of == row["variant"]]
            median = np.median([run.final_value() for run in runs])
            assert float(row["median"]) == pytest.approx(median, abs=1e-4)


@pytest.mark.usefixtures("empty_figures")
def test_committed_tables_follow_from_the_committed_runs(tmp_path: Path) -> None:
    draw_again(DRAWN[:1], tmp_path)  # the slow test draws all
    tables = [file for file in tmp_path.rglob("*") if file.suffix in (".csv", ".json", ".md")]
    for file in tables:
        assert file.read_bytes() == (RESULTS / file.relative_to(tmp_path)).read_bytes(), file


@pytest.mark.slow
def test_committed_figures_follow_from_the_committed_runs(tmp_path: Path) -> None:
    draw_again(DRAWN, tmp_path)
    for folder in DRAWN:
        drawn = {file.name: file.read_bytes() for file in (tmp_path / folder.name).iterdir()}
        assert drawn == {file.name: file.read_bytes() for file in folder.iterdir()}, folder
    assert (tmp_path / PAGE).read_bytes() == (RESULTS / PAGE).read_bytes()


def draw_again(folders: Sequence[Path], docs: Path) -> None:
    """Draws committed runs in a folder where only the runs and the page are."""
    written = {"*.svg", SUMMARY}
    for folder in DRAWN:
        shutil.copytree(folder, docs / folder.name, ignore=shutil.ignore_patterns(*written))
    shutil.copy(RESULTS / PAGE, docs)
    names = [folder.name for folder in folders]
    assert run([*names, "--docs", str(docs), "--draw-only"]) == 0


def test_the_page_shows_every_experiment_that_has_runs() -> None:
    shown = re.findall(r"<!-- generated: (.*?) -->", (RESULTS / PAGE).read_text())
    assert sorted(shown) == [folder.name for folder in DRAWN]
    assert set(shown) <= set(experiment_files(EXPERIMENTS))
