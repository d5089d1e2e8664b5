"""CSV files of texts: read whole, written whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rllib_ptm.checks.errors import InputError


def read_table(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file; none if there is no file.

    Raises:
        InputError: It cannot be read, or has other columns.
    """
    if not file.exists():
        return []
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines, strict=True)
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read: {error}") from None
    if list(reader.fieldnames or ()) != list(columns) or any(None in row.values() for row in rows):
        raise InputError(f"{file}: expected the columns {','.join(columns)} in each row")
    return rows


def write_table(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Writes a CSV file; see ``write_text``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(file, text.getvalue())


def write_text(file: Path, text: str) -> None:
    """Writes a file whole or not at all, and leaves one that says the same untouched.

    Raises:
        InputError: It cannot be written.
    """
    try:
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            return
        draft = file.with_name(f".{file.name}.draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from None
