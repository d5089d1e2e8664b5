"""Reads runs, whatever holds them: results folders, trials' folders, and CSV files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rllib_ptm.checks.errors import InputError
from rllib_ptm.results.folders import read_run_folder, read_trial
from rllib_ptm.results.runs import Run, Runs, without_repeats
from rllib_ptm.results.tidy import CURVES, read_csv
from rllib_ptm.results.trials import folders_in, is_run_folder, is_trial

_WHAT = (
    "a results folder of rllib train, a folder of such folders, a trial's folder, or a CSV file "
    "that rllib plot --export has written"
)


def read_runs(paths: Iterable[str | Path], experiment: str | None = None) -> Runs:
    """Reads runs, for figures, tables and files.

    Args:
        paths: Results folders of ``rllib train`` (``results/small_mt-ptm``), folders of these
            (``results``), folders of single trials, CSV files (``curves.csv``), or folders that
            hold a ``curves.csv``.
        experiment: The name of the experiment of all runs; None = it follows from the name of
            each entry, ``EXPERIMENT-VARIANT``.

    Returns:
        The runs, each once: of two runs of equal settings and seed the longer one. A run that is
        unfinished or damaged is read as far as it goes, and the notes say so.

    Raises:
        InputError: A path holds no runs.

    Examples:
        >>> runs = read_runs(["results"])
        >>> for name, group in runs.groups("method").items():
        ...     print(name, [run.final_value() for run in group])
    """
    notes: list[str] = []
    found: list[Run] = []
    for path in {Path(path).resolve(): Path(path) for path in paths}.values():
        found += _read(path, experiment, notes)
    joined = without_repeats(found)
    return Runs(joined.runs, tuple(dict.fromkeys((*notes, *joined.notes))))


def _read(path: Path, experiment: str | None, notes: list[str]) -> list[Run]:
    if path.is_file():
        return read_csv(path)
    if not path.is_dir():
        raise InputError(f"{path}: there is no such file or folder; expected {_WHAT}")
    if is_trial(path):
        run = read_trial(path, experiment, notes)
        return [] if run is None else [run]
    if is_run_folder(path):
        return read_run_folder(path, experiment, notes)
    if (path / CURVES).is_file():
        return read_csv(path / CURVES)
    inner = [folder for folder in folders_in(path) if _holds_runs(folder)]
    if not inner:
        raise InputError(f"{path}: it holds no runs; expected {_WHAT}")
    return [run for folder in inner for run in _read(folder, experiment, notes)]


def _holds_runs(folder: Path) -> bool:
    return is_run_folder(folder) or (folder / CURVES).is_file()
