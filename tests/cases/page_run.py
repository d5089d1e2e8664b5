"""Runs a page as a reader would: every block in order, in an empty folder.

Run as a script, in that folder: ``python page_run.py PAGE``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from page_blocks import ROOT, Block, read_blocks

# Links to what a reader of a clone has in the working directory.
IN_A_CLONE = ("benchmarks", "docs", "tests", "tuned_examples")


def run_block(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Writes the file that a block is, or executes its python code.

    Args:
        block: One with a title, or in python.
        page: Its page, for tracebacks.
        names: The names that the page's code shares.
    """
    if block.title is not None:
        file = Path(block.title)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
    elif block.language == "python":
        code = "\n" * block.line + block.text  # so that tracebacks have the page's line numbers
        exec(compile(code, f"<{page.name}>", "exec"), names)


def run_page(page: Path) -> None:
    """Runs all blocks of a page in the working directory, commands included."""
    for name in IN_A_CLONE:
        Path(name).symlink_to(ROOT / name)
    names: dict[str, Any] = {"__name__": "page"}
    for block in read_blocks(page):
        if block.mark == "not run":
            continue
        run_block(block, page, names)
        for command in block.commands if block.language == "console" else ():
            _run_command(_with_paths(shortened(command, block)))


def shortened(command: str, block: Block) -> str:
    """A command with the options of its block's comment in place of its own.

    Those with ``--episodes`` are for evaluations, all others for trainings.

    Args:
        command: What follows ``$``.
        block: Its block.
    """
    of_evaluation = re.search(r"--episodes\b", block.words) is not None
    takes_them = r"rllib evaluate\b" if of_evaluation else r"rllib (train|example run)\b"
    if block.mark != "run with" or not re.match(takes_them, command):
        return command
    for option in re.findall(r"--[\w-]+", block.words):
        command = re.sub(rf"{option} ('[^']*'|\S+) ?", "", command)
    return f"{command.partition(' #')[0].rstrip()} {block.words}"


def newest_checkpoint() -> str:
    """The checkpoint that was written last below ``results/``."""
    found = Path("results").rglob("checkpoint_*/rllib_checkpoint.json")
    return str(max(found, key=lambda file: file.stat().st_mtime).parent)


def _with_paths(command: str) -> str:
    """The command with a path in place of ``CHECKPOINT`` and of what is abbreviated by dots."""
    if "CHECKPOINT" in command:
        command = re.sub(r"\bCHECKPOINT\b", newest_checkpoint(), command)
    return re.sub(r"results/\S*\.\.\.\S*", lambda match: newest_checkpoint(), command)


def _run_command(command: str) -> None:
    print(f"$ {command}", flush=True)
    activated = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"set -eo pipefail; {command}"], env=activated, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}")


if __name__ == "__main__":
    sys.path.insert(0, "")
    run_page(Path(sys.argv[1]))
