"""The files of a trial's results, as Tune names them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rllib_ptm.results.flat import flatten, number_in

TRAINING_ITERATION = "training_iteration"  # Tune's name
RESULTS_JSON, RESULTS_CSV = "result.json", "progress.csv"


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The results in ``result.json``: a flat one per iteration, without the config."""
    rows, _ = stored_results(folder)
    return [flatten({key: row[key] for key in row if key != "config"}) for row in rows]


def last_number(folder: Path, latest: Mapping[str, Any], key: str) -> float | None:
    """The last value of a metric, which may be older than the last result.

    Args:
        folder: The trial's folder.
        latest: The trial's last result, flat.
        key: The result key of a metric that only some iterations report.
    """
    number = number_in(latest, key)
    if number is not None or not (folder / RESULTS_JSON).is_file():
        return number
    numbers = (number_in(row, key) for row in reversed(read_rows(folder)))
    return next((number for number in numbers if number is not None), None)


def stored_results(trial: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """Reads the results of a trial.

    Args:
        trial: The trial's folder.

    Returns:
        The results, and the numbers of the lines that hold none: a full disk or a kill cuts a
        line off.
    """
    file = trial / RESULTS_JSON
    if not file.exists() or _unreadable(file):
        return [], []
    text = file.read_text(encoding="utf-8", errors="replace")
    rows, broken = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and isinstance(row.get(TRAINING_ITERATION, 0), int):
            rows.append(row)
        else:
            broken.append(number)
    return rows, broken


def broken_rows_text(trial: Path) -> str:
    """Names the broken lines of a trial's results; empty if all lines are whole."""
    if reason := _unreadable(trial / RESULTS_JSON):
        return f"{trial / RESULTS_JSON} cannot be read ({reason}) and is left out"
    _, broken = stored_results(trial)
    if not broken:
        return ""
    verb = "is" if len(broken) == 1 else "are"
    return f"{trial / RESULTS_JSON}: {_lines_text(broken)} cannot be read and {verb} left out"


def mend_table(trial: Path) -> None:
    """Moves a damaged ``progress.csv`` aside; it is written again from ``result.json``."""
    file = trial / RESULTS_CSV
    if not file.exists():
        return
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            widths = {len(row) for row in csv.reader(lines)}
    except (OSError, ValueError, csv.Error):
        widths = set()
    if len(widths) != 1:
        file.replace(trial / f"{RESULTS_CSV}.damaged")


def mend_rows(trial: Path) -> None:
    """Removes broken lines from a trial's results; a copy with them stays beside it."""
    file, draft = trial / RESULTS_JSON, trial / f".{RESULTS_JSON}.draft"
    aside = trial / f"{RESULTS_JSON}.damaged"
    if _unreadable(file):
        file.replace(aside)
    _, broken = stored_results(trial)
    if not broken:
        return
    lines = enumerate(file.read_text(encoding="utf-8", errors="replace").split("\n"), start=1)
    whole = [line for number, line in lines if line and number not in broken]
    draft.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
    file.replace(aside)
    draft.replace(file)


def _unreadable(file: Path) -> str:
    """Why a file cannot be opened; empty if it can, or if it is not there."""
    try:
        file.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _lines_text(numbers: list[int]) -> str:
    """Line numbers in words: "line 3", "lines 3 and 5", "17 lines"."""
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    if len(numbers) == 2:
        return f"lines {numbers[0]} and {numbers[1]}"
    return f"{len(numbers)} lines"
