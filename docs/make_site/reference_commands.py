"""The command ``rllib`` with all its options, as Typer describes them."""

from __future__ import annotations

import html
import re

import typer
from typer.cli import get_docs_for_click

from rllib_ptm.cli.main import app

# How Typer names types -> how the help of a command would.
_TYPES = {
    " <str>": " TEXT",
    " <path>": " PATH",
    " <int range>": " N",
    " <int>": " N",
    " <float>": " X",
    " <list[str]>": "",
    " <list[Path]>": "",
}


def command_reference() -> str:
    """A section for each command."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="rllib")
    text = html.unescape(text).partition("**Usage**")[2].partition("\n## ")[2]
    text = f"## {text}".replace("```console\n$ ", "```text\n")
    # Typer writes a metavar in braces.
    text = re.sub(r"\{(\w+)(?:\.{3})?\}(?:\.{3})?", r"\1", text)
    for name, word in _TYPES.items():
        text = text.replace(name, word)
    lines = [line for line in text.splitlines() if not line.startswith("* `--help`")]
    text = re.sub(r"\*\*Options\*\*:\n+(?=\*\*|#|\Z)", "", "\n".join(lines))
    return re.sub(r"\n{3,}", "\n\n", text).strip()
