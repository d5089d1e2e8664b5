"""Whatever a YAML file holds: it is read as plain data, or one line says where it is not."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import Any

import odd_yaml
import pytest

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.main import main
from rllib_ptm.cli.read.text import read_json_object, read_yaml

SECONDS = 10  # far more than the slowest takes, far less than a bomb
ONE_LINE = re.compile(
    r"[^\n]*x\.yaml(, line \d+, column \d+: |: cannot be read: |, it holds)[^\n]+"
)


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or type(value) in (str, bool, int, float)


def reads(path: Path) -> bool:
    """Whether the file is read; if not, one line says where and why."""
    begin = time.perf_counter()
    content, refused = None, ""
    try:
        content = read_yaml(path)
    except InputError as error:
        refused = str(error)
    assert time.perf_counter() - begin < SECONDS
    assert not refused or (ONE_LINE.fullmatch(refused) and len(refused) < 1000)
    assert is_plain(content)
    assert len(json.dumps(content)) < 1_000_000
    return not refused


@pytest.mark.parametrize("kind", ["tagged", "aliases", "sizes", "directives"])
def test_odd_yaml_is_plain_data_or_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    read = []
    for text in getattr(odd_yaml, kind)():
        path.write_text(text, encoding="utf-8", newline="")
        read.append(reads(path))
    assert 0 < sum(read) < len(read) / 2


def test_random_bytes_are_plain_data_or_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    good = b"x: &a {run: PTM, stop: {training_iteration: 1}, config: [1.5, !!int 2, 'a\\n']}\n"
    for seed in range(300):
        rng = random.Random(seed)
        changed = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            changed[rng.randrange(len(good))] = rng.randrange(256)
        of_signs = "".join(rng.choices(" \n\t-?:,[]{}#&*!|>'\"%@`ab01.~<=\\", k=rng.randrange(99)))
        path.write_bytes(of_signs.encode() if seed % 3 else bytes(changed))
        reads(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp037", "latin-1"])
def test_another_encoding_is_named(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("x: {run: 'é'}\n".encode(encoding))
    assert not reads(path)


def test_a_merge_replaces_what_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "a: &a {x: 1, y: 1, z: {w: 1}}\nb: &b {y: 2, v: 2}\n"
        "one: {<<: *a, x: 3}\ntwo: {v: 4, <<: [*b, *a]}\n'<<': word\n"
    )
    content = read_yaml(path)
    assert content["one"] == {"x": 3, "y": 1, "z": {"w": 1}}
    assert content["two"] == {"v": 4, "x": 1, "y": 2, "z": {"w": 1}}
    assert content["<<"] == "word"
    content["one"]["z"]["w"] = 5
    assert content["a"]["z"] == content["two"]["z"] == {"w": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x:\n  a: !!int maybe", "line 2, column 6: expected a word, number, "),
        ("x: !!set {a, b}", "found '!!set' before a mapping"),
        ("x: 1\ny: 2001-01-01", "line 2, column 4: YAML reads '2001-01-01' as a date; put it"),
        ("x: " + "9" * 401, "expected a number that fits into 64 bits, found 99999"),
        ("x: -1e999", "expected a number that fits into 64 bits, found -1e999"),
        ('x: "a\\0b"', "expected a word without control characters, found 'a\\x00b'"),
        ("x: {1: 2}", "line 1, column 5: expected keys that are words, found 1"),
        ("x: {[1]: 2}", "line 1, column 5: expected keys that are words, found a list"),
        ("x: {<<: 3}", "expected a mapping or a list of them after <<, found 3"),
        ("x: a\ny: b\x07", "line 2, column 5: not YAML: '\\x07' is not allowed"),
    ],
)
def test_what_is_odd_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_yaml(path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": %s}' % ("9" * 5000), "fits into 64 bits, found 99999999999999999999..."),
        ('{"a": -1e999}', "fits into 64 bits, found -1e999"),
        ('{"a": "\\ud800"}', "a word without control characters"),
        ('{"a\\u0000": 1}', "a word without control characters"),
        ('{"a": "%s"}' % ("w" * 2000), "at most 1000 characters"),
        (json.dumps({str(i): i for i in range(501)}), "at most 500 keys in a mapping, found 501"),
    ],
)
def test_json_has_the_same_limits(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_json_object("--config", text)
    assert str(error.value).startswith("--config: ")
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["日" * 100, "é" * 101, "a/b", "", "a b", "..", "-a", "a\\u0000"])
def test_a_name_that_names_no_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f'"{name}": {{run: PTM}}\n', encoding="utf-8")
    assert main(["train", "file", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rllib: {path}")
    assert "200 bytes" in line or "control characters" in line


def test_a_line_is_printable_and_not_endless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("x: [" + ", ".join(f'"a\\u202e{i}"' for i in range(2000)) + "]\n")
    assert main(["train", "file", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert len(line) < 5000
    path.write_text("\n".join(f"x{i}: {{rnu: PTM}}" for i in range(40)))
    assert main(["train", "file", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 51
    assert lines[-1].endswith("more like these")
