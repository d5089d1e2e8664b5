"""Draws a run: a curve of the win rate of each task, and the win rates of the final policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllib_ptm.tasks.metrics import ENV_STEPS, WIN_RATE_MEAN_PATH, WIN_RATE_PATH

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_MOST_NAMED = 16  # the legend has no room for more; of more tasks the mean has a name


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
    if len(tasks) <= _MOST_NAMED:
        for index, task in enumerate(tasks):
            final = final_win_rates.get(task)
            colour = colours[index % len(colours)]
            _curve(axes, table, WIN_RATE_PATH + task, final, label=task, color=colour)
    else:
        for task in tasks:
            final = final_win_rates.get(task)
            _curve(axes, table, WIN_RATE_PATH + task, final, color="#bbbbbb", linewidth=1)
        mean = sum(final_win_rates.values()) / len(final_win_rates) if final_win_rates else None
        label = f"mean of {len(tasks)} tasks"
        _curve(axes, table, WIN_RATE_MEAN_PATH, mean, label=label, color=colours[0], zorder=4)
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


def _curve(
    axes: Axes,
    table: pd.DataFrame,
    key: str,
    final: float | None,
    *,
    color: Any,
    label: str = "",
    linewidth: float = 2,
    zorder: float = 3,
) -> None:
    """A line while training and a mark at the end; the legend has those with a label."""
    steps = table[ENV_STEPS]
    if final is not None:
        axes.plot(
            steps.iloc[-1],
            final,
            marker="D",
            markersize=4 * linewidth,
            color=color,
            markeredgecolor="white",
            clip_on=False,
            zorder=zorder,
            linestyle="none",
        )
    shown = f"{label}   {final:.0%}" if label and final is not None else label or None
    curve = table.get(key, steps * float("nan"))
    axes.plot(steps, curve, color=color, linewidth=linewidth, label=shown, zorder=zorder - 1)
