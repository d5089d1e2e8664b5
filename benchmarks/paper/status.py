"""What is finished, what is missing, and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from planned_runs import PaperExperiment
from questions import question
from rich.console import Console
from rich.table import Table
from run_store import RunStore
from trial_folders import run_folders


def list_experiments(experiments: Sequence[PaperExperiment], docs: Path, console: Console) -> None:
    """Shows all experiments, a row each."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("EXPERIMENT", no_wrap=True)
    table.add_column("question")
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("hours", justify="right", no_wrap=True)
    for experiment in experiments:
        store = RunStore.load(experiment, docs)
        finished = f"{len(store.runs)} of {len(experiment.runs)}"
        hours = f"{hours_of(store):.1f}"
        table.add_row(experiment.name, question(experiment.name).title, finished, hours)
    console.print(table)
    console.print("\nmake results EXPERIMENT=NAME trains what is missing, and draws.")


def show_status(stores: Sequence[RunStore], results: Path, console: Console) -> None:
    """Shows a row per variant: which seeds are finished, under way, and missing."""
    for store in stores:
        name = store.experiment.name
        under_way = _under_way(store, results)
        table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim", title=name)
        for column in ("variant", "finished seeds", "in --results", "missing", "hours"):
            table.add_column(column)
        for variant in store.experiment.variants:
            seeds = {run.seed for run in store.experiment.runs if run.variant == variant}
            finished = {seed for of, seed in store.runs if of == variant}
            begun = under_way.get(variant, set()) - finished
            table.add_row(
                variant,
                _numbers(finished),
                _numbers(begun),
                _numbers(seeds - finished - begun),
                f"{hours_of(store, variant):.1f}",
            )
        console.print(table)
        console.print(f"{name}: {hours_of(store):.1f} machine hours so far")


def hours_of(store: RunStore, variant: str | None = None) -> float:
    """Hours of training of the finished runs; each run has one process and about one core."""
    ends = (run.end for (of, _), run in store.runs.items() if variant in (None, of))
    return sum(end["time_s"] for end in ends) / 3600


def _under_way(store: RunStore, results: Path) -> dict[str, set[int]]:
    """The seeds that have begun in the results folder, by variant."""
    begun: dict[str, set[int]] = {}
    for entry in store.experiment.entries:
        for folder in run_folders(store.experiment, results, entry.name):
            for trial in folder.trials:
                begun.setdefault(trial.run.variant, set()).add(trial.run.seed)
    return begun


def _numbers(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "-"
