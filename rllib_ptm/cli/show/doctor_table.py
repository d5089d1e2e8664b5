"""What ``rllib doctor`` has found, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

OK, MISSING, WRONG = "ok", "missing", "wrong"
_STYLES = {OK: "green", MISSING: "dim", WRONG: "red"}


@dataclass(frozen=True)
class Check:
    """What was found of one thing.

    Attributes:
        name: What was looked for.
        required: Whether nothing works without it.
        state: ``OK``, ``MISSING`` or ``WRONG``.
        found: What is there, for example a version; or what happens without it.
        remedy: How to get it; empty if there is nothing to do.
    """

    name: str
    required: bool
    state: str
    found: str
    remedy: str = ""


def doctor_report(checks: Sequence[Check]) -> Iterator[RenderableType]:
    """Yields a table of the checks, and a line for each thing that can be got."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("", "", "found"):
        table.add_column(column, overflow="fold")
    for check in checks:
        broken = check.required and check.state != OK
        style = _STYLES[WRONG if broken else check.state]
        table.add_row(check.name, Text(check.state, style), Text(check.found))
    yield table
    remedies = [check for check in checks if check.remedy]
    if remedies:
        yield Text("\nHow to get what is missing:")
    for check in remedies:
        need = " (required)" if check.required else ""
        yield Text(f"  {check.name}{need}: {check.remedy}")
