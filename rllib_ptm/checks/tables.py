"""The tables whose rows a config names: methods, mixers, priority rules, task draws, backends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TypeVar

from rllib_ptm.checks.errors import InputError, shown

Row = TypeVar("Row")


class Table(MutableMapping[str, Row]):
    """Rows by name. Users add rows of their own: ``METHODS["mine"] = Method(...)``.

    Such a row exists only in a process that has imported the module that adds it; see
    ``rllib_ptm.extensions``. Rows of the package can be neither replaced nor removed, because
    the name of a row tells a reader of a config, a result or a checkpoint what was computed.

    Args:
        rows: The rows that come with the package.

    Attributes:
        built_in: The names of these rows.
    """

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._rows = dict(rows)
        self.built_in = frozenset(rows)

    @property
    def own(self) -> frozenset[str]:
        """The names of the rows that users have added."""
        return frozenset(self) - self.built_in

    def __getitem__(self, name: str) -> Row:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __setitem__(self, name: str, row: Row) -> None:
        """Adds a row, or replaces one that a user has added.

        Raises:
            InputError: The package has another row of this name.
        """
        if name in self.built_in and self._rows[name] is not row:
            raise InputError(
                f"{shown(name)} is a row of the package and cannot be replaced: give yours another "
                f"name than {', '.join(sorted(self.built_in))}"
            )
        self._rows[name] = row

    def __delitem__(self, name: str) -> None:
        """Removes a row that a user has added.

        Raises:
            InputError: It is a row of the package.
        """
        if name in self.built_in:
            raise InputError(f"{shown(name)} is a row of the package and cannot be removed")
        del self._rows[name]
