"""The finished runs of an experiment, in its folder in ``docs/results/``.

=====================  ===================================================================
``curves.csv``         a row per evaluation of each run
``final.csv``          a row per run and task: greedy episodes after training
``generalisation.csv``  the same, on tasks that were not trained
``runs.csv``           a row per run: how it was trained, and what it took. It is written
                       last, so a run that has a row is whole
``settings.json``      the settings of each variant, by the hash in the other files
=====================  ===================================================================

Whoever has these files has the results: no finished run is trained again, on no machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from csv_files import read_table, write_table, write_text
from planned_runs import SEED, PaperExperiment, PlannedRun

from rllib_ptm.checks.errors import InputError
from rllib_ptm.checks.writable import make_folder
from rllib_ptm.cli.resume.run_folder import setting_differences
from rllib_ptm.results import Run, read_runs, write_curves, write_final
from rllib_ptm.results.tidy import CURVES, FINAL

GENERALISATION, RUNS, SETTINGS = "generalisation.csv", "runs.csv", "settings.json"
Key = tuple[str, int]  # variant and seed
_RUN_COLUMNS = ("variant", "method", "seed", "settings", "stop", *("env_steps", "updates"))
_COLUMNS = (*_RUN_COLUMNS, "time_s", "processor_time_s")
_PLAYED_COLUMNS = (
    "variant",
    "method",
    "seed",
    *("task", "episodes", "wins", "win_rate", "win_rate_low", "win_rate_high"),
    *("return_mean", "length_mean", "truncated_share"),
)


@dataclass(frozen=True)
class TrainedRun:
    """A finished run.

    Attributes:
        run: Its evaluations, and the greedy episodes after training.
        stop: The stop conditions that it was trained with.
        end: How far it came and what it took: ``env_steps``, ``updates``, ``time_s`` and
            ``processor_time_s`` at its end, which is later than the last evaluation.
        further: Greedy episodes on tasks that were not trained, a record per task.
    """

    run: Run
    stop: Mapping[str, float]
    end: Mapping[str, float]
    further: Sequence[Mapping[str, Any]] = ()

    @property
    def key(self) -> Key:
        """Its variant and its seed."""
        return self.run.variant, int(self.run.seed or 0)


@dataclass
class RunStore:
    """The finished runs of one experiment.

    Attributes:
        experiment: The experiment, as its YAML file is now.
        folder: The folder in ``docs/results/``.
        runs: The finished runs.
    """

    experiment: PaperExperiment
    folder: Path
    runs: dict[Key, TrainedRun] = field(default_factory=dict)
    _settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, experiment: PaperExperiment, docs: Path) -> RunStore:
        """Reads what the folder of an experiment holds.

        Raises:
            InputError: A file is damaged.
        """
        store = cls(experiment, docs / experiment.name)
        if not (store.folder / RUNS).is_file():
            return store
        curves = {(run.variant, run.seed): run for run in read_runs([store.folder / CURVES])}
        with _readable(store.folder / GENERALISATION):
            further = _records_by_run(store.folder / GENERALISATION)
        for row in read_table(store.folder / RUNS, _COLUMNS):
            with _readable(store.folder / RUNS):
                key = row["variant"], int(row["seed"])
            if key not in curves:
                raise InputError(
                    f"{store.folder / RUNS}: {_name(key)} has no evaluations in {CURVES}"
                )
            with _readable(store.folder / RUNS):
                end = {column: float(row[column]) for column in _COLUMNS[-4:]}
                stop = _stop_of(row["stop"])
            store.runs[key] = TrainedRun(curves[key], stop, end, further.get(key, ()))
        with _readable(store.folder / SETTINGS):
            store._settings = json.loads((store.folder / SETTINGS).read_text(encoding="utf-8"))
            if not isinstance(store._settings, dict):
                raise ValueError("expected the settings by their hashes")
        return store

    def missing(self) -> list[PlannedRun]:
        """The planned runs that are not finished."""
        return [run for run in self.experiment.runs if run.key not in self.runs]

    def check(self) -> None:
        """Checks that the finished runs are those of the YAML file.

        Raises:
            InputError: A line for each variant that was trained with other settings, or that the
                file does not have.
        """
        planned = {run.key: run for run in self.experiment.runs}
        lines: dict[str, None] = {}
        for key, trained in self.runs.items():
            if key not in planned:
                lines[f"{_name(key)} is not in the file"] = None
            elif differ := self.differences(trained, planned[key]):
                lines[f"{key[0]}: {differ}"] = None
        if lines:
            raise InputError(
                *(
                    f"{self.experiment.file}: {line}; the finished runs in {self.folder} are "
                    f"another experiment: give this one another name, or remove their rows with "
                    f"--forget VARIANT"
                    for line in lines
                )
            )

    def differences(self, trained: TrainedRun, planned: PlannedRun) -> str:
        """How the YAML file differs from what a finished run was trained with; empty if equal."""
        lines = []
        if trained.run.settings != planned.settings:
            before = self._settings.get(trained.run.settings, {})
            lines += setting_differences(before, _settings_of(planned), (SEED,))
        if dict(trained.stop) != dict(planned.stop):
            lines.append(f"stop was {_stop_text(trained.stop)}, is {_stop_text(planned.stop)}")
        return "; ".join(lines)

    def add(self, trained: Iterable[TrainedRun]) -> list[TrainedRun]:
        """Adds finished runs of the experiment, and writes the files.

        Returns:
            Those that are new.
        """
        found = {one.key: one for one in trained}
        new = [one for key, one in found.items() if key not in self.runs]
        for key, one in found.items():
            before = self.runs.get(key, one)
            final = one.run.final or before.run.final
            further = one.further or before.further
            self.runs[key] = replace(one, run=replace(one.run, final=final), further=further)
        if found:
            self.write()
        return new

    def forget(self, variant: str) -> None:
        """Removes the runs of a variant."""
        self.runs = {key: run for key, run in self.runs.items() if key[0] != variant}
        self.write()

    def write(self) -> None:
        """Writes all files, each whole or not at all, in the order of the YAML file.

        Raises:
            InputError: A file cannot be written.
        """
        make_folder(self.folder)
        order = [run.key for run in self.experiment.runs if run.key in self.runs]
        order += sorted(self.runs.keys() - set(order))
        runs = [self.runs[key] for key in order]
        used = {one.run.settings for one in runs}
        known = self._settings | {
            run.settings: _settings_of(run) for run in self.experiment.variants.values()
        }
        self._settings = {name: known[name] for name in sorted(used & known.keys())}
        lines = [f'"{name}": {json.dumps(one)}' for name, one in self._settings.items()]
        write_text(self.folder / SETTINGS, "{\n" + ",\n".join(lines) + "\n}\n")
        write_curves([one.run for one in runs], self.folder / CURVES)
        if any(one.run.final for one in runs):
            write_final([one.run for one in runs], self.folder / FINAL)
        else:
            (self.folder / FINAL).unlink(missing_ok=True)
        further = [_played_row(one, record) for one in runs for record in one.further]
        if further:
            write_table(self.folder / GENERALISATION, _PLAYED_COLUMNS, further)
        else:
            (self.folder / GENERALISATION).unlink(missing_ok=True)
        write_table(self.folder / RUNS, _COLUMNS, map(_row, runs))


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Names the file if something in it cannot be read."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: cannot be read: {error}") from None


def _settings_of(run: PlannedRun) -> dict[str, Any]:
    """The settings of a run as JSON has them."""
    kept: dict[str, Any] = json.loads(json.dumps(run.config, sort_keys=True))
    kept.pop(SEED)
    return kept


def _name(key: Key) -> str:
    return f"{key[0]} with seed {key[1]}"


def _row(one: TrainedRun) -> dict[str, str]:
    return {
        "variant": one.run.variant,
        "method": one.run.method,
        "seed": str(one.run.seed),
        "settings": one.run.settings,
        "stop": _stop_text(one.stop),
        "env_steps": f"{one.end['env_steps']:.0f}",
        "updates": f"{one.end['updates']:.0f}",
        "time_s": f"{one.end['time_s']:.1f}",
        "processor_time_s": f"{one.end['processor_time_s']:.1f}",
    }


def _played_row(one: TrainedRun, record: Mapping[str, Any]) -> dict[str, str]:
    values = {
        key: f"{value:.4f}" if isinstance(value, float) else str(value)
        for key, value in record.items()
    }
    variant, seed = one.key
    return {"variant": variant, "method": one.run.method, "seed": str(seed), **values}


def _records_by_run(file: Path) -> dict[Key, list[dict[str, Any]]]:
    """Greedy episodes on further tasks, by run."""
    records: dict[Key, list[dict[str, Any]]] = {}
    for row in read_table(file, _PLAYED_COLUMNS):
        key = row.pop("variant"), int(row.pop("seed"))
        del row["method"]
        numbers: dict[str, Any] = {k: float(row[k]) for k in _PLAYED_COLUMNS[6:]}
        numbers |= {k: int(row[k]) for k in ("episodes", "wins")}
        records.setdefault(key, []).append({"task": row["task"], **numbers})
    return records


def _stop_text(stop: Mapping[str, float]) -> str:
    return " ".join(f"{key}={value:.12g}" for key, value in sorted(stop.items()))


def _stop_of(text: str) -> dict[str, float]:
    pairs = (part.rsplit("=", 1) for part in text.split())
    return {key: float(value) for key, value in pairs}
