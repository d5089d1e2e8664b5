"""YAML files and JSON options: one set of rules for both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.read.text import read_json_object, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("5E4", 5e4), ("-1.5e+2", -150.0), (".5e1", 5.0), ("2_000", 2000), ("1", 1)],
)
def test_numbers_are_read_as_people_write_them(text: str, value: float, tmp_path: Path) -> None:
    path = tmp_path / "number.yaml"
    path.write_text(f"x: {text}")
    assert read_yaml(path) == {"x": value}


@pytest.mark.parametrize("text", ["5m_vs_6m", "e5", "1e", "5e4x"])
def test_names_stay_names(text: str, tmp_path: Path) -> None:
    path = tmp_path / "name.yaml"
    path.write_text(f"x: {text}")
    assert read_yaml(path) == {"x": text}


@pytest.fixture(params=["YAML", "JSON"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Any]:
    """Reads a text as a file, or as the value of an option."""

    def read_file(text: str) -> Any:
        path = tmp_path / "x.yaml"
        path.write_text(text)
        return read_yaml(path)

    return read_file if request.param == "YAML" else lambda text: read_json_object("--x", text)


def test_json_is_read_by_the_same_rules(read: Callable[[str], Any]) -> None:
    value = {"a": [1, 0.5, True, None, "x"], "b": {"c": -2}}
    assert read(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": {"b": 1, "b": 2}}', "the key 'b' stands twice"),
        ('{"a": ' * 30 + "1" + "}" * 30, "it is nested too deeply, or holds too much"),
        ('{"a": ' * 3000, "nested too deeply"),
        (json.dumps({"a": [0] * 100_000}), "holds too much"),
        ('{"a": ', "not "),
    ],
)
def test_what_both_refuse_in_one_line(text: str, message: str, read: Callable[[str], Any]) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(text)
    assert "\n" not in str(error.value)


def test_an_option_that_is_not_given() -> None:
    assert read_json_object("--x", None) is None
