"""Draws an experiment: its figures, ``summary.csv``, and its part of ``docs/results/README.md``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from page import picture
from planned_runs import PaperExperiment
from questions import question
from run_store import RunStore, TrainedRun
from status import hours_of
from summary import further_table, row_of, summary_table, write_summary

from rllib_ptm.results import Run
from rllib_ptm.results.curves import TIME_AXIS
from rllib_ptm.results.draw.figure import FigureSettings, draw_figure
from rllib_ptm.results.draw.style import DARK, LIGHT
from rllib_ptm.results.runs import Runs
from rllib_ptm.results.statistics import IQM

SUMMARY = "summary.csv"


@dataclass(frozen=True)
class Figure:
    """A figure that an experiment may have.

    Attributes:
        settings: How ``rllib plot`` draws it.
        text: What it shows, for those who do not see it.
    """

    settings: FigureSettings
    text: str


# Names are those of the files, and are chosen in ``QUESTIONS``.
FIGURES: dict[str, Figure] = {
    "curves": Figure(FigureSettings(), "win rates over environment steps"),
    "time": Figure(FigureSettings(axis=TIME_AXIS), "win rates over processor time"),
    "tasks": Figure(FigureSettings(figure="tasks"), "final win rates by task"),
    "profiles": Figure(FigureSettings(figure="profiles", statistic=IQM), "performance profiles"),
    "improvement": Figure(
        FigureSettings(figure="improvement", statistic=IQM), "probabilities of improvement"
    ),
}


@dataclass(frozen=True)
class Group:
    """The finished runs of a variant that a figure shows.

    Attributes:
        experiment: The experiment that trained them.
        variant: The variant.
        runs: Those that have finished.
        planned: How many it is to have.
    """

    experiment: str
    variant: str
    runs: Sequence[TrainedRun]
    planned: int


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
    groups = list(_groups(store, docs, read))
    rows = [row_of(group.experiment, group.variant, group.runs, group.planned) for group in groups]
    write_summary(rows, store.folder / SUMMARY)
    own = {group.variant: group.runs for group in groups if group.experiment == name}
    took = (
        f"{len(store.runs)} of {len(store.experiment.runs)} runs, "
        f"{hours_of(store):.1f} machine hours."
    )
    runs = [one.run for group in groups for one in group.runs]
    figures = "\n".join(_draw_figures(store, runs))
    parts = (took, figures, summary_table(rows, name), further_table(own))
    return "\n\n".join(filter(None, parts))


def _groups(store: RunStore, docs: Path, read: Callable[[str], PaperExperiment]) -> Iterator[Group]:
    """The variants that have finished runs, those of other experiments first."""
    beside = question(store.experiment.name).beside
    stores = [RunStore.load(read(other), docs) for other in beside] + [store]
    for one in stores:
        name = one.experiment.name
        for variant in beside.get(name, one.experiment.variants):
            planned = [run.key for run in one.experiment.runs if run.variant == variant]
            trained = [one.runs[key] for key in planned if key in one.runs]
            if trained:
                yield Group(name, variant, trained, len(planned))


def _draw_figures(store: RunStore, runs: Iterable[Run]) -> Iterator[str]:
    """Draws the figures of an experiment; yields the picture of each, for the page."""
    name, asked = store.experiment.name, question(store.experiment.name)
    joined = Runs(tuple(replace(run, experiment=name) for run in runs))
    variants = len(joined.groups())
    for figure in asked.figures:
        if figure == "improvement" and variants < 2:
            continue
        files = {theme: f"{figure}-{theme}.svg" for theme in (LIGHT, DARK)}
        for theme, file in files.items():
            settings = replace(FIGURES[figure].settings, theme=theme, title=asked.title)
            draw_figure(joined, store.folder / file, settings)
        text = f"{name}: {FIGURES[figure].text}"
        yield picture(name, files[LIGHT], files[DARK], text)
