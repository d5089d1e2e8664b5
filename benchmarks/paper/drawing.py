"""Draws an experiment: its figures, ``summary.csv``, and its part of ``docs/results/README.md``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from planned_runs import PaperExperiment
from questions import question
from run_store import RunStore, TrainedRun
from status import hours_of
from summary import further_table, summarise, summary_table, write_summary

SUMMARY = "summary.csv"
Group = tuple[str, str]  # an experiment and one of its variants


def draw(store: RunStore, docs: Path, read: Callable[[str], PaperExperiment]) -> str:
    """Draws an experiment.

    Args:
        store: Its finished runs; at least one.
        docs: The folder of all experiments' folders.
        read: Reads another experiment, whose runs the figures show, too.

    Returns:
        Its part of the page, in Markdown.
    """
    name = store.experiment.name
    groups = _groups(store, docs, read)
    rows = [
        summarise(experiment, variant, trained, planned)
        for (experiment, variant), (trained, planned) in groups.items()
    ]
    write_summary(rows, store.folder / SUMMARY)
    own = {variant: trained for (of, variant), (trained, _) in groups.items() if of == name}
    tables = [summary_table(rows, name), further_table(own)]
    took = (
        f"{len(store.runs)} of {len(store.experiment.runs)} runs, "
        f"{hours_of(store):.1f} machine hours."
    )
    return "\n\n".join(filter(None, [took, *tables]))


def _groups(
    store: RunStore, docs: Path, read: Callable[[str], PaperExperiment]
) -> dict[Group, tuple[list[TrainedRun], int]]:
    """The finished runs of each variant that has any, and how many runs it is to have."""
    beside = question(store.experiment.name).beside
    stores = [RunStore.load(read(other), docs) for other in beside] + [store]
    groups: dict[Group, tuple[list[TrainedRun], int]] = {}
    for one in stores:
        name = one.experiment.name
        for variant in beside.get(name, one.experiment.variants):
            planned = [run.key for run in one.experiment.runs if run.variant == variant]
            trained = [one.runs[key] for key in planned if key in one.runs]
            if trained:
                groups[name, variant] = trained, len(planned)
    return groups
