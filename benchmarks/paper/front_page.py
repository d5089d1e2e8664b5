"""The table of results on the project's own page: the methods, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from csv_files import read_table
from summary import COLUMNS, rate_text

METHODS = ("ptm", "refil", "qmix_atten", "qmix_atten_popart")
NAME = "methods"  # of the block between two comments; see ``page``


def methods_table(docs: Path, experiments: Sequence[str], summary: str) -> str:
    """The medians of the methods in all experiments that compare them, as a Markdown table.

    Args:
        docs: The folder of all experiments' folders.
        experiments: Their names, in order.
        summary: The name of the CSV file with an experiment's summary.

    Returns:
        A row for each experiment that has finished runs of ``ptm`` and ``qmix_atten``; empty
        without any.
    """
    lines = []
    for name in experiments:
        rows = read_table(docs / name / summary, COLUMNS)
        own = {row["variant"]: row for row in rows if row["experiment"] == name}
        if {"ptm", "qmix_atten"} <= own.keys():
            cells = (_median(own[method]) if method in own else "-" for method in METHODS)
            runs = _range([int(own[method]["runs"]) for method in METHODS if method in own])
            lines.append(f"| [{name}](docs/results/README.md) | {runs} | {' | '.join(cells)} |")
    if not lines:
        return ""
    head = " | ".join(f"`{method}`" for method in METHODS)
    return "\n".join([f"| experiment | runs | {head} |", "|---" * (2 + len(METHODS)) + "|", *lines])


def _median(row: dict[str, str]) -> str:
    median, low, high = (rate_text(float(row[key])) for key in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def _range(numbers: list[int]) -> str:
    """For example ``5``, or ``2 to 5``."""
    least, most = min(numbers), max(numbers)
    return str(most) if least == most else f"{least} to {most}"
