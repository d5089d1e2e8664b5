"""Every equation of the paper has one place in the code, and the model's index leads there."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import rllib_ptm.model

EQUATIONS = range(1, 16)
INDEX = [
    (int(number), module, function)
    for number, module, function in re.findall(
        r"^ +(\d+) +([\w.]+)\.(\w+)", rllib_ptm.model.__doc__ or "", re.MULTILINE
    )
]


def test_the_index_has_the_equations_in_the_papers_order() -> None:
    assert [number for number, _, _ in INDEX] == list(EQUATIONS)


@pytest.mark.parametrize(("number", "module", "name"), INDEX)
def test_the_index_leads_to_a_short_function(number: int, module: str, name: str) -> None:
    function = getattr(importlib.import_module(f"rllib_ptm.model.{module}"), name)
    assert re.search(rf"Eq\. {number}\b", function.__doc__)
    assert len(inspect.getsource(function).splitlines()) < 25


@pytest.mark.parametrize("number", EQUATIONS)
def test_an_equation_is_named_in_one_place(number: int) -> None:
    package = Path(rllib_ptm.model.__file__).parents[1]
    found = [
        path.name
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(rf"Eq\. {number}\b", line)
    ]
    assert len(found) == 1, found
