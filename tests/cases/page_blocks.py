"""The code blocks of a page in Markdown, and what the page says about running them.

A block with a title is a file: ``python title="my_env.py"``. A python block without a title is
executed, and all those of a page share their names. Lines of a ``console`` block that begin with
``$`` are commands: the fast test checks their words, the slow one runs them.

A comment on the line before a block changes that:

    <!-- not run: REASON -->    nothing runs or checks it
    <!-- slow: REASON -->       only the slow test executes this python block
    <!-- run with: WORDS -->    the slow test gives these options to each command of the block that
                                trains or evaluates, in place of its own
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(
    r"(?:^ *<!-- (?P<mark>not run|slow|run with): (?P<words>.*?) -->\n)?"
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>\w*)(?P<more>[^\n`]*)\n"
    r"(?P<text>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'\btitle="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """One code block.

    Attributes:
        language: The word after the fence; empty without one.
        title: The name of the file that the block is; None = no file.
        text: Its content.
        line: The line of the page on which its fence begins.
        mark: ``not run``, ``slow`` or ``run with``; None = no comment before it.
        words: What the comment says after the mark.
    """

    language: str
    title: str | None
    text: str
    line: int
    mark: str | None
    words: str

    @property
    def commands(self) -> list[str]:
        """The commands of a console block; a line that ends with a backslash goes on."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def read_blocks(page: Path) -> list[Block]:
    """The code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            language=match["language"],
            title=title[1] if (title := _TITLE.search(match["more"])) else None,
            text=textwrap.dedent(match["text"]),
            line=text.count("\n", 0, match.start("fence")) + 1,
            mark=match["mark"],
            words=match["words"] or "",
        )
        for match in _FENCE.finditer(text)
    ]


def pages_with_code() -> list[Path]:
    """The project's pages: those of the site, and those beside the code."""
    beside = [ROOT / "README.md", ROOT / "benchmarks/README.md", ROOT / "CONTRIBUTING.md"]
    return [page for page in [*beside, *sorted((ROOT / "docs").rglob("*.md"))] if page.is_file()]
