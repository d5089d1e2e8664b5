"""The C++ code is compiled once, checked when it is loaded, and a failure is logged once."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rllib_ptm.model.native import compiler, library, structs

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache, nothing loaded, and less code to compile."""
    real, small = compiler.FOLDER, tmp_path / "code"
    small.mkdir()
    for name in ("structs.h", "structs.cpp"):
        shutil.copy(real / name, small)
    functions = ("bool has_bf16() { return 0; }", "long attention_saved_floats() { return 0; }")
    (small / "small.cpp").write_text("\n".join(f'extern "C" {f}' for f in functions))
    monkeypatch.setattr(compiler, "FOLDER", small)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    library.library.cache_clear()
    yield
    library.library.cache_clear()


def install_compiler(path: Path, version: str, compiling: str) -> Path:
    """Writes a script that answers ``--version`` or runs a command; returns its log of runs."""
    runs = path.with_suffix(".log")
    runs.touch()
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && {{ echo "{version}"; exit; }}\n'
        f'echo run >> "{runs}"\n{compiling}\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return runs


@needs_compiler
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            [("inputs", "p"), ("bias", "p"), ("recurrent", "p"), ("bias_new", "p")],
            "GRUWeights, field 1: .*'bias'.*'recurrent'",
        ),
        (
            [("inputs", "p"), ("recurrent", "p"), ("bias", "p")],
            "GRUWeights, field 3: .*None.*'bias_new'",
        ),
        (
            [("inputs", "p"), ("recurrent", "i"), ("bias", "p"), ("bias_new", "p")],
            "GRUWeights, field 1: .*size=4.*size=8",
        ),
        (
            [(name, "p") for name in ("inputs", "recurrent", "bias", "bias_new", "more")],
            "GRUWeights, field 4: .*'more'.*None",
        ),
    ],
)
def test_a_structure_with_other_fields_is_refused(
    fresh: None,
    monkeypatch: pytest.MonkeyPatch,
    fields: list[tuple[str, str]],
    message: str,
) -> None:
    types = {"p": ctypes.c_void_p, "i": ctypes.c_int32}
    declared = {"_fields_": [(name, types[kind]) for name, kind in fields]}
    wrong = type("GRUWeights", (ctypes.Structure,), declared)
    monkeypatch.setattr(structs, "STRUCTS", (*structs.STRUCTS[:3], wrong))
    with pytest.raises(structs.StructMismatchError, match=message):
        library.library()


@needs_compiler
def test_it_is_compiled_once(fresh: None, tmp_path: Path) -> None:
    assert isinstance(library.library(), ctypes.CDLL)
    (made,) = (tmp_path / "rllib_ptm" / "native").iterdir()
    before = made.stat()
    library.library.cache_clear()
    assert isinstance(library.library(), ctypes.CDLL)
    assert made.stat() == before


@needs_compiler
def test_processes_that_start_together_compile_once(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    runs = install_compiler(slow, "slow", 'sleep 0.3\nexec g++ "$@"')
    monkeypatch.setenv("CXX", str(slow))
    with ThreadPoolExecutor(4) as pool:  # each takes the lock as a process does
        loaded = list(pool.map(lambda _: library._load_or_compile(), range(4)))
    assert all(isinstance(x, ctypes.CDLL) for x in loaded)
    assert runs.read_text() == "run\n"


def test_it_can_be_switched_off(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.SWITCH, "0")
    assert library.library() is None


def silent_the_second_time(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether another process would neither load the code nor warn."""
    caplog.clear()
    library.library.cache_clear()
    return library.library() is None and not caplog.records


def test_a_missing_compiler_is_logged(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "")
    with caplog.at_level(logging.WARNING):
        assert library.library() is None
        assert "No C++ compiler (g++) was found" in caplog.text
        assert len(caplog.records) == 1
        assert silent_the_second_time(caplog)


@pytest.mark.parametrize("version", ["Apple clang version 17.0.0", "Debian clang version 14.0.6"])
def test_clang_is_logged_and_not_run(
    fresh: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    version: str,
) -> None:
    runs = install_compiler(tmp_path / "g++", version, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert library.library() is None
        assert "needs GCC, but g++ is clang" in caplog.text
        assert len(caplog.records) == 1
        assert silent_the_second_time(caplog)
    assert not runs.read_text()


@needs_compiler
def test_gxx_is_used_if_cxx_is_clang(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_compiler(tmp_path / "clang++", "clang version 19.1.0", "exit 1")
    monkeypatch.setenv("CXX", str(tmp_path / "clang++"))
    assert isinstance(library.library(), ctypes.CDLL)


def test_the_reason_of_a_failure_is_logged(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    runs = install_compiler(broken, "", "echo no such header >&2; exit 1")
    monkeypatch.setenv("CXX", str(broken))
    with caplog.at_level(logging.WARNING):
        assert library.library() is None
        assert "no such header" in caplog.text
        assert silent_the_second_time(caplog)
    assert runs.read_text() == "run\n"
    assert not list(tmp_path.rglob("*.so"))


def test_a_failure_is_tried_again_after_a_day(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    runs = install_compiler(broken, "", "exit 1")
    monkeypatch.setenv("CXX", str(broken))
    assert library.library() is None
    (failure,) = (tmp_path / "rllib_ptm" / "native").iterdir()
    day_before = failure.stat().st_mtime - 24 * 3600 - 1
    os.utime(failure, (day_before, day_before))
    library.library.cache_clear()
    assert library.library() is None
    assert runs.read_text() == "run\nrun\n"


def test_of_processes_that_start_together_one_tries_and_warns(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    runs = install_compiler(broken, "", "sleep 0.5; exit 1")
    command = "from rllib_ptm.model.native.library import library; assert library() is None"
    environment = {**os.environ, "CXX": str(broken), "XDG_CACHE_HOME": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", command], env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    printed = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert "".join(printed).count("The networks run in torch alone") == 1
    assert runs.read_text() == "run\n"


def test_a_cache_that_cannot_be_written_is_logged(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert library.library() is None
    assert "The networks run in torch alone" in caplog.text


@needs_compiler
@pytest.mark.parametrize("command", ["env g++", "no-such-compiler"])
def test_cxx_may_have_arguments_or_name_nothing_installed(
    fresh: None, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("CXX", command)
    assert isinstance(library.library(), ctypes.CDLL)


@needs_compiler
def test_a_damaged_library_is_compiled_again(fresh: None, tmp_path: Path) -> None:
    name = f"{compiler.fingerprint(compiler.installed_compilers())}.so"
    damaged = tmp_path / "rllib_ptm" / "native" / name
    damaged.parent.mkdir(parents=True)
    damaged.touch()
    assert isinstance(library.library(), ctypes.CDLL)
    assert damaged.stat().st_size > 0
