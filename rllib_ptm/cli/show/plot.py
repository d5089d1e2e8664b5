"""Draws a run: a curve of the win rate of each task, and the win rates of the final policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllib_ptm.tasks.metrics import ENV_STEPS, WIN_RATE_PATH

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def plot_win_rates(
    table: pd.DataFrame, final_win_rates: Mapping[str, float], title: str, out: Path
) -> None:
    """Draws win rates over environment steps.

    Args:
        table: A row per iteration, a column per result key; see ``read_progress``.
        final_win_rates: The greedy win rate of the final policy, by task.
        title: The name of the experiment.
        out: The PNG file to write.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e6e6e6",
        "axes.edgecolor": "#999999",
        "axes.axisbelow": True,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(8.5, 4.8), dpi=150, layout="constrained")
        axes = figure.subplots()
        _draw(axes, table, final_win_rates)
        axes.set_title(title, loc="left", fontweight="bold", pad=12)
        figure.savefig(out)


def _draw(axes: Axes, table: pd.DataFrame, final_win_rates: Mapping[str, float]) -> None:
    import matplotlib as mpl
    from matplotlib.ticker import EngFormatter, PercentFormatter

    trained = [c.removeprefix(WIN_RATE_PATH) for c in table.columns if c.startswith(WIN_RATE_PATH)]
    tasks = [*trained, *(task for task in final_win_rates if task not in trained)]
    colours = mpl.color_sequences["petroff10"]  # colour-blind readers can tell them apart
    steps = table[ENV_STEPS]
    for index, task in enumerate(tasks):
        colour, label = colours[index % len(colours)], task
        if task in final_win_rates:
            label = f"{task}   {final_win_rates[task]:.0%}"
            axes.plot(
                steps.iloc[-1],
                final_win_rates[task],
                marker="D",
                markersize=8,
                color=colour,
                markeredgecolor="white",
                clip_on=False,
                zorder=3,
                linestyle="none",
            )
        curve = table.get(WIN_RATE_PATH + task, steps * float("nan"))
        axes.plot(steps, curve, color=colour, linewidth=2, label=label)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("win rate")
    axes.set_ylim(0, 1)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(
        title="line: while exploring\n◆: greedy, at the end",
        loc="center left",
        bbox_to_anchor=(1.02, 0.5),
        frameon=False,
        alignment="left",
    )
