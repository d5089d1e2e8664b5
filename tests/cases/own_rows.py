"""Takes away what modules of the user's own have added to the tables."""

from __future__ import annotations

from rllib_ptm.config.own_rows import TABLES
from rllib_ptm.envs.starcraft.backends import BACKENDS


def forget_own_rows() -> None:
    """The tables as in a process that begins."""
    for table in (*TABLES.values(), BACKENDS):
        for row in table.own:
            del table[row]
