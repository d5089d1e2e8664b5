"""Runs in CSV files: ``curves.csv``, a row per evaluation, and ``final.csv``, a row per task.

Both begin with the columns of ``RUN_COLUMNS``, then a column for each key that an experiment
searched, empty where a run has none. Rates have four decimals. Where runs have no seed, the column
``run`` numbers those that have all else in common.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllib_ptm.checks.errors import InputError
from rllib_ptm.results.csv_cells import (
    check_finite,
    check_json,
    check_names,
    check_numbers,
    check_whole,
    check_words,
    read_cells,
)
from rllib_ptm.results.runs import Run
from rllib_ptm.results.trials import (
    ENV_STEPS,
    OF_TASK,
    PROCESSOR_TIME,
    PROGRESS,
    SEED,
    TIME,
    UPDATES,
)
from rllib_ptm.tasks.metrics import WIN_RATE_MEAN

if TYPE_CHECKING:
    import pandas as pd

CURVES, FINAL = "curves.csv", "final.csv"
# What tells one run from another. The words "yes" and "no" say whether a run is finished.
RUN_COLUMNS = ("experiment", "variant", "method", "seed", "settings", "finished")
# The number of a run without a seed. A file of runs that all have one has no such column.
NUMBER = "run"
_FINAL_COLUMNS = (
    "task",
    "episodes",
    "wins",
    "win_rate",
    "return_mean",
    "length_mean",
    "truncated_share",
    "win_rate_low",
    "win_rate_high",
)
_DECIMALS = {ENV_STEPS: 0, UPDATES: 0, TIME: 1, PROCESSOR_TIME: 1}
_RATE_DECIMALS = 4


def curves_table(runs: Iterable[Run]) -> pd.DataFrame:
    """All evaluations of some runs, a row each; the cells are texts as the CSV file has them."""
    found = list(runs)
    tasks = sorted({f"{OF_TASK}{task}" for run in found for task in run.tasks})
    values = [*PROGRESS, WIN_RATE_MEAN, *tasks]
    rows = [
        (run, [_number_text(column, row.get(column)) for column in values])
        for run in found
        for row in run.curve.to_dict("records")
    ]
    return _table(found, rows, values)


def final_table(runs: Iterable[Run]) -> pd.DataFrame:
    """The greedy episodes after training, a row per run and task, as texts."""
    found = list(runs)
    rows = [
        (run, [_number_text(column, record.get(column)) for column in _FINAL_COLUMNS])
        for run in found
        for record in run.final
    ]
    return _table(found, rows, _FINAL_COLUMNS)


def write_curves(runs: Iterable[Run], file: Path) -> None:
    """Writes ``curves.csv``, whole or not at all."""
    _write(curves_table(runs), file)


def write_final(runs: Iterable[Run], file: Path) -> None:
    """Writes ``final.csv``, whole or not at all."""
    _write(final_table(runs), file)


def read_csv(file: Path) -> list[Run]:
    """Reads the runs of ``curves.csv``, with what a ``final.csv`` beside it knows of them.

    The rows may be in any order, and may be repeated. In a file without the column ``run``, the
    rows of runs without a seed must be in their order: where the steps fall the next run begins.

    Raises:
        InputError: The file is not such a table, or a cell holds what cannot be there.
    """
    table = read_cells(file, (*RUN_COLUMNS, *PROGRESS, WIN_RATE_MEAN))
    columns = list(table.columns)
    rates = [c for c in columns if c == WIN_RATE_MEAN or c.startswith(OF_TASK)]
    keys = [c for c in columns if c not in (*RUN_COLUMNS, NUMBER, *PROGRESS, *rates)]
    _check_runs(file, table)
    check_words(file, table, "finished", ("yes", "no"))
    check_numbers(file, table, PROGRESS)
    check_numbers(file, table, rates, most=1)
    check_json(file, table, keys)
    finals = _read_final(file.with_name(FINAL)) if file.name != FINAL else {}
    return [
        _run(file, rows, keys, rates, finals.get(identity, [])) for identity, rows in _by_run(table)
    ]


def _read_final(file: Path) -> dict[Any, list[dict[str, Any]]]:
    """The final episodes of each run with a seed or a number; nothing if there is no file."""
    if not file.is_file():
        return {}
    table = read_cells(file, (*RUN_COLUMNS, *_FINAL_COLUMNS))
    _check_runs(file, table)
    check_names(file, table, ["task"])
    check_finite(file, table, _FINAL_COLUMNS[1:])
    return {key: _records(group) for key, group in _by_run(table) if any(key[3:])}


def _check_runs(file: Path, table: pd.DataFrame) -> None:
    check_names(file, table, ("experiment", "variant", "method"))
    check_whole(file, table, SEED)
    if NUMBER in table.columns:
        check_whole(file, table, NUMBER)


def _table(
    runs: Sequence[Run], rows: Sequence[tuple[Run, list[str]]], values: Sequence[str]
) -> pd.DataFrame:
    import pandas as pd

    keys = sorted({key for run in runs for key in run.grid})
    lines = [[*_run_cells(run), *(_key_text(run, key) for key in keys), *row] for run, row in rows]
    table = pd.DataFrame(lines, columns=[*RUN_COLUMNS, *keys, *values], dtype=str)
    if numbers := _numbers(runs):
        cells = [str(numbers.get(run, "")) for run, _ in rows]
        table.insert(table.columns.get_loc(SEED) + 1, NUMBER, cells)
    return table


def _numbers(runs: Sequence[Run]) -> dict[Run, int]:
    """Numbers the runs without a seed, among those that have all else in common from 1 upward."""
    counts: Counter[tuple[str, ...]] = Counter()
    numbers = {}
    for run in runs:
        if run.seed is None:
            counts[identity := (run.experiment, run.variant, run.settings)] += 1
            numbers[run] = counts[identity]
    return numbers


def _run_cells(run: Run) -> list[str]:
    seed = "" if run.seed is None else str(run.seed)
    finished = "yes" if run.finished else "no"
    return [run.experiment, run.variant, run.method, seed, run.settings, finished]


def _key_text(run: Run, key: str) -> str:
    return json.dumps(run.grid[key], default=str) if key in run.grid else ""


def _number_text(column: str, value: Any) -> str:
    if value is None or value != value:  # NaN
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.{_DECIMALS.get(column, _RATE_DECIMALS)}f}"


def _write(table: pd.DataFrame, file: Path) -> None:
    draft = file.with_name(f".{file.name}.draft")
    try:
        table.to_csv(draft, index=False, lineterminator="\n")
        draft.replace(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from None


def _by_run(table: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    """The rows of each run, in the order of the file, by what tells it from others.

    Without numbers, runs that have no seed have equal columns. Where the number of steps falls, the
    next run begins.
    """
    import pandas as pd

    numbers = table[NUMBER] if NUMBER in table.columns else pd.Series("", table.index)
    identity = [table["experiment"], table["variant"], table["settings"], table[SEED], numbers]
    if ENV_STEPS in table.columns:
        steps = table[ENV_STEPS].replace("", "nan").astype(float)
        has_name = (table[SEED] != "") | (numbers != "")
        identity.append(((steps.diff() < 0) & ~has_name).cumsum())
    return [(key[:5], rows) for key, rows in table.groupby(identity, sort=False)]


def _run(
    file: Path,
    table: pd.DataFrame,
    keys: Sequence[str],
    rates: Sequence[str],
    final: Sequence[dict[str, Any]],
) -> Run:
    import pandas as pd

    first = table.iloc[0]
    curve = _in_order(file, table[[*PROGRESS, *rates]].replace("", "nan").astype(float))
    grid = {key: json.loads(first[key]) for key in keys if first[key]}
    played = [column for column in curve.columns if not curve[column].isna().all()]
    kept = [column for column in curve.columns if column in PROGRESS or column in played]
    return Run(
        experiment=first["experiment"],
        variant=first["variant"],
        method=first["method"],
        seed=int(first[SEED]) if first[SEED] else None,
        grid=grid,
        settings=first["settings"],
        finished=bool((table["finished"] == "yes").all()),
        curve=pd.DataFrame(curve[kept]).reset_index(drop=True),
        final=final,
    )


def _in_order(file: Path, curve: pd.DataFrame) -> pd.DataFrame:
    """A run's evaluations by their steps, each once.

    Raises:
        InputError: Two evaluations at the same steps differ, or one has no steps.
    """
    if curve[ENV_STEPS].isna().all():
        return curve
    whole = curve.drop_duplicates().sort_values(ENV_STEPS, kind="stable")
    if whole[ENV_STEPS].isna().any():
        line = whole.index[whole[ENV_STEPS].isna()][0]
        raise InputError(f"{file}: line {line}: {ENV_STEPS}: expected a number, found ''")
    again = whole[ENV_STEPS].duplicated()
    if again.any():
        line = whole.index[again][0]
        raise InputError(
            f"{file}: line {line}: another evaluation of this run at {whole[ENV_STEPS][line]:.0f} "
            f"steps has other values"
        )
    return whole


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The final episodes of a run as ``final.json`` has them."""
    records = []
    for row in table[list(_FINAL_COLUMNS)].to_dict("records"):
        numbers = {key: _number(value) for key, value in row.items() if key != "task" and value}
        records.append({"task": row["task"], **numbers})
    return records


def _number(text: str) -> float:
    return int(text) if text.isdecimal() else float(text)
