"""Figures: what is drawn, that labels do not overlap, and that equal runs give equal files."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from PIL import Image, ImageColor
from run_folders import seeds_of

from rllib_ptm.checks.errors import InputError
from rllib_ptm.methods import METHODS
from rllib_ptm.results import FigureSettings, Runs, draw_figure, read_runs
from rllib_ptm.results.draw.canvas import Sheet, styled, wrapped
from rllib_ptm.results.draw.curve_panels import spread
from rllib_ptm.results.draw.figure import FIGURES
from rllib_ptm.results.draw.style import LOOKS, THEMES, in_order, labels_of, looks_of

RATES = [(0.1, 0.0), (0.4, 0.2), (0.6, 0.5)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two seeds of three methods."""
    storage = tmp_path_factory.mktemp("results")
    for method, share in (("refil", 0.9), ("ptm", 1.0), ("qmix_atten", 0.98)):
        rates = {s: [(share * a + 0.01 * s, share * b) for a, b in RATES] for s in range(2)}
        seeds_of(storage, f"small_mt-{method}", rates, method=method)
    return read_runs([storage])


@pytest.fixture(autouse=True)
def quick_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ends of the intervals do not matter here."""
    monkeypatch.setattr("rllib_ptm.results.statistics._REPEATS", 50)


def drawn(runs: Runs, settings: FigureSettings) -> Sheet:
    with styled(settings.theme):
        return FIGURES[settings.figure](runs, settings)


def texts_of(sheet: Sheet) -> list[str]:
    found = sheet.figure.findobj(mpl.text.Text)
    return [text.get_text() for text in found if text.get_text()]


def test_every_method_has_a_look_of_its_own() -> None:
    assert LOOKS.keys() == METHODS.keys()
    for part in ("light", "dark", "dash", "marker", "hatch"):
        assert len({getattr(look, part) for look in LOOKS.values()}) == len(LOOKS)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        shares = [value / 255 for value in ImageColor.getrgb(colour)]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_text_and_lines_stand_out_from_the_background(theme: str) -> None:
    background = THEMES[theme].background
    assert contrast(THEMES[theme].text, background) > 7
    assert contrast(THEMES[theme].muted, background) > 4.5
    by_value = looks_of([f"lr={value}" for value in range(7)]).values()
    assert all(contrast(look.colour(theme), background) > 4.5 for look in LOOKS.values())
    assert all(contrast(look.colour(theme), background) > 4.0 for look in by_value)


def test_groups_are_ordered_and_named_for_readers() -> None:
    values = [f"ptm mining_lambda={value}" for value in ("10", "0.3", "3")]
    assert in_order(values) == [values[1], values[2], values[0]]
    assert list(labels_of(values).values()) == ["λ = 10", "λ = 0.3", "λ = 3"]
    assert in_order(["mine", "refil", "ptm"]) == ["ptm", "refil", "mine"]
    assert list(labels_of(["refil", "ptm"]).values()) == ["REFIL", "PTM"]
    assert labels_of(["ptm"]) == {"ptm": "PTM"}


def test_groups_that_are_no_methods_have_looks_that_differ() -> None:
    groups = ["ptm", "mine", "yours", "ptm lr=0.1 x=2", "ptm lr=0.2 x=1"]
    looks = looks_of(groups)
    assert looks["ptm"] == LOOKS["ptm"]
    assert len(set(looks.values())) == len(groups)
    by_value = looks_of(["a=3", "a=1", "a=2"])
    assert len({look.light for look in by_value.values()}) == 3


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"a": 50, "b": 20}, {"a": 50, "b": 20}),
        ({"a": 50, "b": 50}, {"a": 45, "b": 55}),
        ({"a": 98, "b": 97, "c": 10}, {"a": 95, "b": 85, "c": 10}),
        ({"a": 0, "b": 12}, {"a": 5, "b": 15}),
    ],
)
def test_labels_move_apart_as_little_as_possible(wanted: dict, expected: dict) -> None:
    heights = dict.fromkeys(wanted, 10.0)
    assert spread(wanted, heights, 100.0) == pytest.approx(expected)


def test_labels_break_where_they_can_be_read() -> None:
    assert wrapped("QMIX-Atten + PopArt 61 %", 17) == "QMIX-Atten +\nPopArt 61 %"
    assert wrapped("lr = 0.001 λ = 0.5: 81 %", 14) == "lr = 0.001\nλ = 0.5: 81 %"


def test_curves_have_labels_at_their_ends(runs: Runs) -> None:
    sheet = drawn(runs, FigureSettings())
    texts = texts_of(sheet)
    assert {"PTM 55 %", "REFIL 50 %", "QMIX-Atten 54 %"} <= set(texts)
    assert {"small_mt", "win rate, mean over tasks", "median and 25–75 % of 2 runs"} <= set(texts)
    sheet.figure.draw_without_rendering()
    boxes = [
        text.get_window_extent()
        for text in sheet.figure.axes[0].texts
        if text.get_text()  # the labels
    ]
    assert len(boxes) == 3
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert all(box.x1 <= sheet.figure.bbox.x1 for box in boxes)


def test_experiments_have_panels_below_one_legend(runs: Runs, tmp_path: Path) -> None:
    seeds_of(tmp_path, "large_mt-ptm", {0: RATES}, method="ptm")
    both = Runs((*runs, *read_runs([tmp_path])))
    sheet = drawn(both, FigureSettings())
    assert len(sheet.figure.axes) == 2
    texts = texts_of(sheet)
    assert texts.count("PTM") == 1
    assert {"small_mt", "large_mt", "median and 25–75 % of 1 to 2 runs"} <= set(texts)
    with pytest.raises(InputError, match="expected one experiment, found small_mt, large_mt; wit"):
        drawn(both, FigureSettings(figure="tasks"))
    draw_figure(both, tmp_path / "x.svg", FigureSettings(joined=True))


def test_time_has_a_unit(runs: Runs) -> None:
    assert "processor time, minutes" in texts_of(drawn(runs, FigureSettings(axis="time")))


def test_few_tasks_have_bars_and_many_have_rows(runs: Runs, monkeypatch: Any) -> None:
    few = texts_of(drawn(runs, FigureSettings(figure="tasks")))
    assert {"5m\nvs 5m", "5m\nvs 6m", "PTM", "REFIL"} <= set(few)
    monkeypatch.setattr("rllib_ptm.results.draw.task_bars._MOST_BARS", 3)
    many = texts_of(drawn(runs, FigureSettings(figure="tasks", theme="dark")))
    assert {"5m_vs_5m", "5m_vs_6m", "PTM", "REFIL"} <= set(many)


def test_each_pair_has_a_probability_of_improvement(runs: Runs) -> None:
    texts = texts_of(drawn(runs, FigureSettings(figure="improvement")))
    assert [texts.count(name) for name in ("PTM", "REFIL", "QMIX-Atten")] == [2, 2, 2]


@pytest.mark.parametrize("figure", ["curves", "tasks"])
def test_no_name_is_cut(runs: Runs, figure: str) -> None:
    """However long the names of groups and experiments are, also names without blanks."""
    long = "a_very_long_name_without_a_blank_that_is_wider_than_any_of_the_figures"
    grids = ["mining_lambda=0.5 lr=0.001 alpha_anneal_steps=250000 mixing_dim=2", long]
    experiments = [f"{number} {long}" for number in range(2 if figure == "curves" else 1)]
    named = tuple(
        replace(runs.runs[0], variant=f"ptm {grid}", experiment=experiment)
        for experiment in experiments
        for grid in grids
    )
    sheet = drawn(Runs(named), FigureSettings(figure=figure))
    texts = [text for text in sheet.figure.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    assert all(box.x0 >= 0 and box.x1 <= sheet.figure.bbox.x1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    written = "".join(text.get_text() for text in texts).replace(" ", "")
    assert long in written
    assert "λ=0.5lr=0.001α-steps=250kmixing_dim=2" in written


def test_curves_say_if_the_runs_of_a_panel_have_different_tasks(runs: Runs) -> None:
    first, *others = runs
    curve = first.curve.rename(columns={"win_rate/5m_vs_6m": "win_rate/3m_vs_3m"})
    said = "the runs of a panel are evaluated on different tasks"
    mixed = Runs((replace(first, variant="other", curve=curve), *others))
    assert said in texts_of(drawn(mixed, FigureSettings()))
    assert said not in texts_of(drawn(mixed, FigureSettings(metric="win_rate/5m_vs_5m")))
    assert said not in texts_of(drawn(runs, FigureSettings()))


@pytest.mark.parametrize("ending", ["svg", "png", pytest.param("pdf", marks=pytest.mark.slow)])
def test_equal_runs_give_equal_files(runs: Runs, tmp_path: Path, ending: str) -> None:
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    draw_figure(runs, first)
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": "x"}):  # a user's own settings
        draw_figure(runs, second)
    assert first.read_bytes() == second.read_bytes()
    if ending == "svg":
        assert "<text" not in first.read_text()  # letters are outlines, so no font is needed


@pytest.mark.parametrize("theme", THEMES)
def test_the_background_is_the_themes(runs: Runs, tmp_path: Path, theme: str) -> None:
    draw_figure(runs, tmp_path / "a.png", FigureSettings(figure="profiles", theme=theme))
    with Image.open(tmp_path / "a.png") as picture:
        corner = picture.convert("RGB").getpixel((2, 2))
    assert corner == ImageColor.getrgb(THEMES[theme].background)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"figure": "bars"}, "--figure: 'bars' is unknown; .*legal: curves, improvement, prof"),
        ({"statistic": "mean"}, "--statistic: 'mean' is unknown; did you mean 'median'"),
        ({"theme": "black"}, "--theme: 'black' is unknown; .*legal: dark, light"),
        ({"axis": "episodes"}, "--x: 'episodes' is unknown; .*legal: steps, time, updates"),
        ({"by": "metod"}, "--by: 'metod' is unknown; did you mean 'method'"),
        ({"metric": "win_rate/5m"}, "'win_rate/5m' is unknown; did you mean 'win_rate/5m_vs"),
        ({"figure": "tasks", "metric": "win_rate/5m"}, "--figure tasks shows the win rates of all"),
        ({"figure": "improvement", "by": "seed"}, "--by: 'seed' is unknown"),
    ],
)
def test_wrong_settings_are_named(runs: Runs, tmp_path: Path, settings: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        draw_figure(runs, tmp_path / "a.svg", FigureSettings(**settings))
    assert len(caught.value.lines) == 1


@pytest.mark.parametrize("figure", sorted(FIGURES))
def test_runs_without_an_evaluation_are_refused_in_one_line(
    runs: Runs, tmp_path: Path, figure: str
) -> None:
    empty = Runs(tuple(replace(run, curve=run.curve.iloc[:0, :4]) for run in runs))
    with pytest.raises(InputError) as caught:
        draw_figure(empty, tmp_path / "a.svg", FigureSettings(figure=figure, joined=True))
    assert len(caught.value.lines) == 1


def test_wrong_files_are_named(runs: Runs, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--out: expected a file name that ends in .png, .svg"):
        draw_figure(runs, tmp_path / "a.jpg")
    with pytest.raises(InputError, match="--out: there is no folder"):
        draw_figure(runs, tmp_path / "none/a.svg")
    with pytest.raises(InputError, match="there is no run to draw"):
        draw_figure(Runs(()), tmp_path / "a.svg")
