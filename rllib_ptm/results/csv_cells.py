"""Reads CSV files of texts, and checks the cells: people edit such files by hand."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllib_ptm.checks.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def read_cells(file: Path, needed: Sequence[str]) -> pd.DataFrame:
    """Reads a CSV file of texts; the index holds the numbers of the lines.

    Args:
        file: The CSV file.
        needed: Columns that it must have.

    Raises:
        InputError: It cannot be read, lacks a column or has one twice, or a line is too short or
            too long.
    """
    import pandas as pd

    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, strict=True)
            header = next(reader, [])
            numbered = [(reader.line_num, row) for row in reader if row]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{file}: cannot be read: {reason}") from None
    if missing := [column for column in needed if column not in header]:
        raise InputError(
            f"{file}: expected a table of evaluations, as rllib plot --export writes it; it has no "
            f"column {', '.join(missing)}"
        )
    if twice := [column for column in dict.fromkeys(header) if header.count(column) > 1]:
        raise InputError(f"{file}: two columns have one name: {', '.join(twice)}")
    for line, row in numbered:
        if len(row) != len(header):
            raise InputError(f"{file}: line {line}: expected {len(header)} cells, found {len(row)}")
    numbers, rows = [line for line, _ in numbered], [row for _, row in numbered]
    return pd.DataFrame(rows, columns=header, index=numbers, dtype=str)


def check_numbers(
    file: Path, table: pd.DataFrame, columns: Iterable[str], most: float = math.inf
) -> None:
    """Checks that the cells of some columns are empty or numbers from 0 to ``most``.

    Raises:
        InputError: One is not.
    """
    bounds = "" if math.isinf(most) else f" between 0 and {most:g}"
    for line, column, text in _cells(table, columns):
        number = _number(text) if text else 0.0
        if number is None or not 0 <= number <= most:
            raise _wrong(file, line, column, f"a number{bounds or ' from 0 upward'}", text)


def check_finite(file: Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Checks that the cells of some columns are empty or finite numbers.

    Raises:
        InputError: One is not.
    """
    for line, column, text in _cells(table, columns):
        if text and _number(text) is None:
            raise _wrong(file, line, column, "a number", text)


def check_names(file: Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Checks that no cell of some columns is empty.

    Raises:
        InputError: One is.
    """
    for line, column, text in _cells(table, columns):
        if not text.strip():
            raise _wrong(file, line, column, "a name", text)


def check_whole(file: Path, table: pd.DataFrame, column: str) -> None:
    """Checks that a column's cells are empty or whole numbers.

    Raises:
        InputError: One is not.
    """
    for line, _, text in _cells(table, [column]):
        if text and not text.removeprefix("-").isdecimal():
            raise _wrong(file, line, column, "a whole number", text)


def check_words(file: Path, table: pd.DataFrame, column: str, words: Sequence[str]) -> None:
    """Checks that a column holds some words only.

    Raises:
        InputError: A cell holds something else.
    """
    for line, _, text in _cells(table, [column]):
        if text not in words:
            raise _wrong(file, line, column, " or ".join(words), text)


def check_json(file: Path, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Checks that the cells of some columns are empty or JSON values.

    Raises:
        InputError: One is not.
    """
    for line, column, text in _cells(table, columns):
        try:
            json.loads(text or "null")
        except ValueError:
            what = "the value of a searched key, in JSON (texts in double quotes)"
            raise _wrong(file, line, column, what, text) from None


def _cells(table: pd.DataFrame, columns: Iterable[str]) -> Iterator[tuple[Any, str, str]]:
    for column in columns:
        for line, text in table[column].items():
            yield line, column, text


def _number(text: str) -> float | None:
    """The finite number of a text; None if it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _wrong(file: Path, line: Any, column: str, expected: str, found: str) -> InputError:
    return InputError(f"{file}: line {line}: {column}: expected {expected}, found {found!r:.60}")
