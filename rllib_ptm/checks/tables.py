"""The tables whose rows a config names: methods, mixers, priority rules, task draws, backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Row = TypeVar("Row")


class Table(dict[str, Row]):
    """Rows by name. Users add rows of their own: ``METHODS["mine"] = Method(...)``.

    Such a row exists only in a process that has imported the module that adds it; see
    ``rllib_ptm.extensions``.

    Args:
        rows: The rows that come with the package.

    Attributes:
        built_in: The names of these rows.
    """

    def __init__(self, rows: Mapping[str, Row]) -> None:
        super().__init__(rows)
        self.built_in = frozenset(rows)

    @property
    def own(self) -> frozenset[str]:
        """The names of the rows that users have added."""
        return frozenset(self) - self.built_in
