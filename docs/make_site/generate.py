"""Writes the parts of pages that follow from the code: config keys, commands, equations.

A generated part stands between two comments; all else of a page is written by hand:

    <!-- generated: NAME -->
    <!-- end: NAME -->
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from links import DOCS, ROOT
from reference_commands import command_reference
from reference_equations import equation_table
from reference_keys import KEY_TABLES

PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "reference/config.md": dict(KEY_TABLES),
    "reference/command-line.md": {"commands": command_reference},
    "paper/equations.md": {"equations": equation_table},
}


def generated(page: str) -> str:
    """A page with its generated parts as they have to be.

    Args:
        page: Its path in ``docs/``, a key of ``PAGES``.

    Raises:
        ValueError: A part has no comments in the page.
    """
    text = (ROOT / DOCS / page).read_text(encoding="utf-8")
    for name, make in PAGES[page].items():
        start, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
        part = re.compile(f"(?<={re.escape(start)}).*?(?={re.escape(end)})", re.DOTALL)
        if not part.search(text):
            raise ValueError(f"{page}: expected {start.strip()} and {end}")
        block = f"\n{make()}\n\n"
        text = part.sub(lambda _, block=block: block, text)  # type: ignore[misc]
    return text


def write_pages() -> list[Path]:
    """Writes all pages with generated parts; returns those that changed."""
    changed = []
    for page in PAGES:
        file, text = ROOT / DOCS / page, generated(page)
        if file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            changed.append(file)
    return changed


if __name__ == "__main__":
    for file in write_pages():
        print(f"{file.relative_to(ROOT)}: written")
