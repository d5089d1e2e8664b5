"""The notebooks run from their first cell to their last."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
SECONDS = re.compile(r"^SECONDS = \d+", re.MULTILINE)


def code_of(path: Path) -> list[dict[str, Any]]:
    """The cells that run, with their source as one text."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    return [cell | {"source": "".join(cell["source"])} for cell in code]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_results(path: Path) -> None:
    cells = code_of(path)
    assert cells
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    assert sum(len(SECONDS.findall(cell["source"])) for cell in cells) == 1


def test_the_notebooks_environment_is_that_of_the_first_hour() -> None:
    cells = code_of(ROOT / "docs/notebooks/your_own_environment.ipynb")
    (cell,) = (c["source"] for c in cells if c["source"].startswith("%%writefile meet.py\n"))
    page = (ROOT / "docs/first-hour.md").read_text("utf-8")
    (block,) = re.findall(r'```python title="meet.py"\n(.*?)```', page, re.DOTALL)
    assert cell.partition("\n")[2].strip() == block.strip()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="pip install 'rllib-ptm[notebooks]'")
    nbclient = pytest.importorskip("nbclient", reason="pip install 'rllib-ptm[notebooks]'")
    pytest.importorskip("ipykernel", reason="pip install 'rllib-ptm[notebooks]'")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = SECONDS.sub("SECONDS = 2", cell.source)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, resources=resources).execute()
    shown = [data for cell in notebook.cells for data in cell.get("outputs", ())]
    assert any("image/gif" in output.get("data", {}) for output in shown)
    assert any("image/png" in output.get("data", {}) for output in shown)
