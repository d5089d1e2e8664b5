"""The code of every page runs: python is executed, YAML and commands are checked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_check import check_command
from own_rows import forget_own_rows
from page_blocks import ROOT, pages_with_code, read_blocks
from page_run import run_block
from yaml_check import check_yaml

PAGES = [page for page in pages_with_code() if read_blocks(page)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The reader's folder, on the import path; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    forget_own_rows()
    for module in set(sys.modules) - known:
        file = getattr(sys.modules[module], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[module]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_code_of_a_page(page: Path, folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    for block in read_blocks(page):
        if block.mark == "not run":
            assert block.words, "give the reason"
            continue
        try:
            if block.language == "python":
                compile(block.text, str(page), "exec")
            if block.mark != "slow":
                run_block(block, page, names)
            if block.language == "yaml":
                check_yaml(block.text, folder)
            if block.language == "console":
                for command in block.commands:
                    check_command(command, folder)
        except BaseException as error:
            error.add_note(f"{page.relative_to(ROOT)}, the block on line {block.line}")
            raise


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_runs_as_a_reader_runs_it(page: Path, tmp_path: Path) -> None:
    runner = ROOT / "tests/cases/page_run.py"
    done = subprocess.run(
        [sys.executable, str(runner), str(page)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
