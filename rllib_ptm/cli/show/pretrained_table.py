"""The pretrained policies, as a table."""

from __future__ import annotations

from rich.table import Table

from rllib_ptm import pretrained
from rllib_ptm.cli.show.task_table import percent


def pretrained_table() -> Table:
    """A row per policy: its method, its tasks and its mean win rate on these."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("policy", no_wrap=True)
    table.add_column("method", no_wrap=True)
    table.add_column("trained on")
    table.add_column("win rate", justify="right", no_wrap=True)
    for name in pretrained.names():
        rates = [row["win_rate"] for row in pretrained.results(name)]
        facts = pretrained.training(name)
        mean = percent(sum(rates) / len(rates))
        table.add_row(name, facts["method"], ", ".join(facts["tasks"]), mean)
    return table
