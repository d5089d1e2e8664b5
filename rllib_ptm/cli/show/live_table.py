"""The live table of a training run, and the plain lines that take its place in a log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rllib_ptm.cli.show.progress import (
    EPISODES,
    LEARNER,
    PRIORITY,
    STEPS,
    WIN_RATE,
    WIN_RATE_MEAN,
    TrialProgress,
    clock_text,
)

_LEARNER_COLUMNS: Mapping[str, str] = {
    "loss": "total_loss",
    "original": "loss_ori",
    "exploration": "loss_exp",
    "exploitation": "loss_task",
    "|TD error|": "td_error_abs",
    "Q": "q_taken_mean",
    "gradient": "grad_norm",
}
_BAR_WIDTH = 36
_PANEL_WIDTH = 88


def live_table(trials: Iterable[TrialProgress], notice: str = "") -> RenderableType:
    """Everything that one looks at while training runs, a panel per running trial.

    Args:
        trials: The trials that run.
        notice: A line below, where something has to be said.
    """
    panels: list[RenderableType] = [_panel(trial) for trial in trials]
    if not panels:
        panels.append(Text("Starting the trial", style="dim"))
    if notice:
        panels.append(Text(notice, style="yellow"))
    return Group(*panels)


def _panel(trial: TrialProgress) -> Panel:
    elapsed = clock_text(trial.clock() - trial.started)
    left = clock_text(trial.seconds_left())
    content: RenderableType = Text("waiting for the first result", style="dim")
    if trial.latest:
        content = Group(_counters(trial), Text(), _tasks(trial), Text(), _learner(trial))
    return Panel(
        content,
        title=Text(trial.name, style="bold"),
        title_align="left",
        subtitle=Text(f"running {elapsed}   left about {left}"),
        subtitle_align="right",
        box=box.ROUNDED,
        border_style="cyan",
        padding=(1, 2),
        width=_PANEL_WIDTH,
    )


def _columns(values: Mapping[str, str]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim", pad_edge=False)
    for name in values:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(*values.values())
    return table


def _counters(trial: TrialProgress) -> Table:
    return _columns(
        {
            "iteration": _count(trial.number("training_iteration")),
            "env steps": _count(trial.number(STEPS)),
            "steps/s": _count(trial.speed(STEPS)),
            "episodes": _count(trial.number(EPISODES)),
            "return": _decimal(trial.number("env_runners/episode_return_mean")),
            "length": _decimal(trial.number("env_runners/episode_len_mean")),
            "ε": _decimal(trial.number("schedules/epsilon")),
            "α": _decimal(trial.number("schedules/alpha")),
        }
    )


def _tasks(trial: TrialProgress) -> Table:
    win_rates, priorities = trial.per_task(WIN_RATE), trial.per_task(PRIORITY)
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("win rate", justify="right")
    table.add_column("", width=_BAR_WIDTH)
    table.add_column("priority", justify="right")
    for task in {**win_rates, **priorities}:
        rate = win_rates.get(task)
        table.add_row(task, _percent(rate), _bar(rate), _decimal(priorities.get(task)))
    mean = trial.number(WIN_RATE_MEAN)
    table.add_row("mean", _percent(mean), _bar(mean), "", style="bold")
    return table


def _learner(trial: TrialProgress) -> RenderableType:
    values = {name: trial.number(LEARNER + key) for name, key in _LEARNER_COLUMNS.items()}
    known = {name: _decimal(value, 3) for name, value in values.items() if value is not None}
    return _columns(known) if known else Text("collecting episodes to learn from", style="dim")


def _bar(rate: float | None) -> ProgressBar:
    return ProgressBar(
        total=1.0,
        completed=rate or 0.0,
        width=_BAR_WIDTH,
        complete_style="green",
        finished_style="bold green",
    )


def plain_line(trial: TrialProgress) -> str:
    """One line of a log, without escape codes."""
    rates = trial.per_task(WIN_RATE)
    tasks = ", ".join(f"{task} {_percent(rate)}" for task, rate in rates.items())
    return (
        f"[{clock_text(trial.clock() - trial.started)}] {trial.name}: "
        f"iteration {_count(trial.number('training_iteration'))}, "
        f"{_count(trial.number(STEPS))} env steps, "
        f"{_count(trial.speed(STEPS))} steps/s, "
        f"win rate {_percent(trial.number(WIN_RATE_MEAN))} ({tasks}), "
        f"left about {clock_text(trial.seconds_left())}"
    )


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _decimal(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"
