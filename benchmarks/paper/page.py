"""Pages such as ``docs/results/README.md``: what is generated stands between two comments.

    <!-- generated: small_mt -->
    tables and figures
    <!-- end: small_mt -->

All else is written by hand and stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from csv_files import write_text

from rllib_ptm.checks.errors import InputError

PAGE = "README.md"


def begins(name: str) -> str:
    """The comment after which a generated part begins."""
    return f"<!-- generated: {name} -->"


def update_page(file: Path, blocks: Mapping[str, str], headings: Mapping[str, str]) -> None:
    """Writes the generated parts of a page.

    Args:
        file: The page; a new one begins with a title.
        blocks: What is generated for each experiment, in Markdown.
        headings: The heading under which the part of an experiment begins, if the page has none.

    Raises:
        InputError: A part begins, but does not end.
    """
    text = file.read_text(encoding="utf-8") if file.is_file() else "# Results\n"
    for name, block in blocks.items():
        start, end = begins(name), f"<!-- end: {name} -->"
        part = f"{start}\n{block}\n{end}"
        before, begun, rest = text.partition(start)
        _, ended, after = rest.partition(end)
        if begun and not ended:
            raise InputError(f"{file}: {start} without {end}")
        if begun:
            text = f"{before}{part}{after}"
        else:
            text = f"{text.rstrip()}\n\n## {headings[name]}\n\n{part}\n"
    write_text(file, text)


def picture(name: str, light: str, dark: str, text: str) -> str:
    """A figure that follows the reader's light or dark theme, in HTML as Markdown allows it.

    Args:
        name: The experiment's name, which is also its folder's.
        light: The name of the file for light themes.
        dark: That for dark themes.
        text: What it shows, for those who do not see it.
    """
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{name}/{dark}">'
        f'<img alt="{text}" src="{name}/{light}"></picture>'
    )
