"""The files of a trial's results, as Tune names them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rllib_ptm.cli.show.trial_progress import flatten, number_in

RESULTS_JSON, RESULTS_CSV = "result.json", "progress.csv"


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The results in ``result.json``: a flat one per iteration, without the config."""
    lines = (folder / RESULTS_JSON).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
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
