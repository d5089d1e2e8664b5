"""The drawings of the concept pages are those that the code draws; figures are those measured."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"
BENCHMARKS = (DOCS.parent / "benchmarks/README.md").read_text()


@pytest.fixture(scope="module", autouse=True)
def make_site() -> None:
    sys.path.append(str(DOCS / "make_site"))


@pytest.mark.parametrize("name", ["draw_data_flow", "draw_masks"])
def test_the_drawings_are_those_of_the_code(name: str) -> None:
    """Otherwise run ``python docs/make_site/NAME.py``."""
    module = importlib.import_module(name)
    for theme in importlib.import_module("svg").THEMES:
        file = DOCS / "concepts" / f"{module.NAME}-{theme.name}.svg"
        assert file.read_text(encoding="utf-8") == module.draw(theme)


def test_the_battle_shows_what_the_page_says() -> None:
    masks = importlib.import_module("draw_masks").masks_of_battle()
    original, exploration, own, other = masks.columns
    for *_, utilities, mixer in masks.columns:
        assert not (utilities & ~original[-2]).any()
        assert not (utilities & ~mixer).any()
        assert not mixer[2].any()
        assert not mixer[:, 2].any()  # the empty slot
    assert original[-2][3].nonzero()[0].tolist() == [0, 1, 3]  # a3 sees no enemy
    assert 0 < exploration[-1].sum() < original[-1].sum()
    assert (own[-1] ^ other[-1] == original[-1]).all()
    assert np.array_equal(own[-2] | other[-2], original[-2])


def test_the_figures_of_the_performance_page_are_measured() -> None:
    table = (DOCS / "performance.md").read_text().partition("## What limits")[0]
    rows = [line for line in table.splitlines() if line.endswith("` |")]
    figures = [figure for row in rows for figure in re.findall(r"\d+\.\d+", row)]
    assert len(figures) >= 8
    assert [figure for figure in figures if figure not in BENCHMARKS] == []
