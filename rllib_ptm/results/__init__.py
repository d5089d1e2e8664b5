"""Results of training: read, summarised with intervals, and drawn.

For notebooks and scripts; ``rllib plot`` does the same::

    from rllib_ptm.results import FigureSettings, draw_figure, read_runs, summarise

    runs = read_runs(["results"])
    for group in summarise(runs, by="method"):
        print(group.group, group.runs, group.median.value, group.iqm)
    draw_figure(runs, "curves.svg", FigureSettings(by="method", statistic="iqm"))
"""

from __future__ import annotations

from rllib_ptm.results.draw.figure import FigureSettings, draw_figure
from rllib_ptm.results.marl_eval import write_marl_eval
from rllib_ptm.results.read import read_runs
from rllib_ptm.results.runs import Run, Runs
from rllib_ptm.results.settings import settings_hash
from rllib_ptm.results.summary import GroupSummary, summarise
from rllib_ptm.results.tidy import write_curves, write_final

__all__ = [
    "FigureSettings",
    "GroupSummary",
    "Run",
    "Runs",
    "draw_figure",
    "read_runs",
    "settings_hash",
    "summarise",
    "write_curves",
    "write_final",
    "write_marl_eval",
]
