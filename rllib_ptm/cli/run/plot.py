"""``rllib plot``: summarises runs, and draws and exports them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from rllib_ptm.checks.errors import InputError
from rllib_ptm.checks.writable import check_file
from rllib_ptm.cli.options.declared import PlotOptions
from rllib_ptm.cli.show.messages import working
from rllib_ptm.cli.show.summary_table import summary_table
from rllib_ptm.results.draw.canvas import check_figure_file
from rllib_ptm.results.draw.figure import FigureSettings, check_settings, draw_figure
from rllib_ptm.results.marl_eval import write_marl_eval
from rllib_ptm.results.read import read_runs
from rllib_ptm.results.rliable_library import is_installed
from rllib_ptm.results.runs import LAST_EVALUATIONS
from rllib_ptm.results.summary import differences, summarise
from rllib_ptm.results.tidy import write_curves
from rllib_ptm.tasks.metrics import WIN_RATE

if TYPE_CHECKING:
    from rllib_ptm.results.runs import Runs

_MOST_NOTES = 8


def plot(results: Sequence[Path], options: PlotOptions) -> None:
    """Reads runs, prints a summary, and writes the files that the options name.

    Args:
        results: Results folders of ``rllib train``, and CSV files.
        options: The options of the command.

    Raises:
        InputError: A folder holds no runs, or an option cannot be used.
    """
    settings = FigureSettings(
        figure=options.figure,
        by=options.by,
        statistic=options.statistic,
        metric=options.metric,
        axis=options.x,
        theme=options.theme,
        title=options.title,
        joined=options.join,
    )
    check_settings(settings)
    _check_files(options)
    console = Console()
    with working(console, "Reading the runs"):
        runs = read_runs(results)
    _print_notes(console, runs.notes)
    if not len(runs):
        raise InputError("there is no run with a result yet")
    side_by_side = runs.joined() if options.join else runs
    _print_notes(console, differences(side_by_side, options.by, options.metric))
    if options.out is None:
        _print_summary(console, runs, options)
    else:
        with working(console, "Drawing"):
            draw_figure(runs, options.out, settings)
    if options.export is not None:
        write_curves(runs, options.export)
    if options.marl_eval is not None:
        _print_notes(console, write_marl_eval(runs, options.marl_eval, options.by))
    for written in filter(None, (options.out, options.export, options.marl_eval)):
        console.print(f"Written to {written.absolute()}", soft_wrap=True, highlight=False)


def _print_summary(console: Console, runs: Runs, options: PlotOptions) -> None:
    intervals = is_installed()
    with working(console, "Computing the intervals"):
        found = summarise(runs, options.by, options.metric, intervals=intervals)
    rate = WIN_RATE in options.metric
    for experiment in runs.experiments:
        of = [one for one in found if one.experiment == experiment]
        title = f"{experiment}: {options.metric}{', in per cent' if rate else ''}"
        console.print(summary_table(of, title, rate=rate))
    console.print(
        f"A run counts with the mean of its last {LAST_EVALUATIONS} evaluations. IQM: "
        "interquartile mean over runs and tasks. Area: mean over environment steps. "
        "*: with unfinished runs.",
        style="dim",
        highlight=False,
    )
    if not intervals:
        console.print(
            "The IQM and its interval need rliable: pip install 'rllib-ptm[plot]'",
            markup=False,
            highlight=False,
        )


def _print_notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes[:_MOST_NOTES]:
        console.print(note, soft_wrap=True, highlight=False, markup=False)
    if len(notes) > _MOST_NOTES:
        console.print(f"and {len(notes) - _MOST_NOTES} more like these", highlight=False)


def _check_files(options: PlotOptions) -> None:
    """Checks before the work that the files can be written after it."""
    if options.out is not None:
        check_figure_file(options.out)
    endings = (("--export", options.export, ".csv"), ("--marl-eval", options.marl_eval, ".json"))
    for option, file, ending in endings:
        if file is not None and file.suffix != ending:
            raise InputError(
                f"{option}: expected a file name that ends in {ending}, found {str(file)!r}"
            )
    files = (("--out", options.out), *((option, file) for option, file, _ in endings))
    for option, file in files:
        if file is not None:
            check_file(option, file)
