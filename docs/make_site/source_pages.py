"""Pages of other files: Markdown as it is, notebooks, code with colours, folders as lists."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from links import ROOT, SOURCE, project_path, site_path, targets

_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".cpp": "cpp", ".h": "cpp"}
_NOT_SEARCHED = "---\nsearch:\n  exclude: true\nhide: [toc]\n---\n\n"


def source_pages(pages: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """The pages of all files that some pages link to, and that those link to in turn.

    Args:
        pages: Path in the project, and text, of each page of ``docs/``.

    Returns:
        Path in the site -> path in the project, and the page in Markdown.
    """
    found: dict[str, tuple[str, str]] = {}
    open_pages = list(pages)
    while open_pages:
        page, text = open_pages.pop()
        for target in targets(text):
            path = project_path(page, target)
            place = site_path(path)
            if place is not None and place.startswith(f"{SOURCE}/") and place not in found:
                found[place] = (path, _page(path))
                open_pages.append(found[place])
    return found


def _page(path: str) -> str:
    place = ROOT / path
    if place.is_dir():
        return _NOT_SEARCHED + "\n".join(_folder(path, place))
    text = place.read_text(encoding="utf-8")
    if place.suffix == ".md":
        return text
    if place.suffix == ".ipynb":
        return "\n\n".join(_cells(json.loads(text)))
    language = _LANGUAGES.get(place.suffix, "text")
    return f'{_NOT_SEARCHED}# `{path}`\n\n````{language} linenums="1"\n{text}\n````\n'


def _cells(notebook: dict[str, Any]) -> Iterator[str]:
    """The text and the code of a notebook, without its output."""
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        yield text if cell["cell_type"] == "markdown" else f"````python\n{text}\n````"


def _folder(path: str, place: Path) -> Iterator[str]:
    """What a folder's package says of itself, and a line for each file in it."""
    yield f"# `{path}/`\n"
    package = place / "__init__.py"
    if package.is_file() and (docstring := _docstring(package)):
        yield f"````text\n{docstring}\n````\n"
    for file in sorted(place.iterdir()):
        if file.suffix in (".py", ".yaml", ".md") and file != package:
            summary = _docstring(file).partition("\n")[0] if file.suffix == ".py" else ""
            yield f"- [`{file.name}`]({file.name}) {summary}"


def _docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
