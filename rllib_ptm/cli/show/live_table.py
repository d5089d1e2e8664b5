"""The live table of a training run, and the plain lines that replace it in a log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rllib_ptm.cli.show.trial_progress import TrialProgress, clock_text
from rllib_ptm.tasks.metrics import (
    ENV_STEPS,
    EPISODES_PATH,
    LEARNER_PATH,
    LENGTH_MEAN_PATH,
    PRIORITY_PATH,
    RESTARTS_PATH,
    RETURN_MEAN_PATH,
    SCHEDULE_PATH,
    TRUNCATED_SHARE_PATH,
    WIN_RATE_MEAN_PATH,
    WIN_RATE_PATH,
)

# Metric of the learner -> heading. Other metrics that start with loss_ have their own name.
_LEARNER_COLUMNS: Mapping[str, str] = {
    "total_loss": "loss",
    "loss_ori": "original",
    "loss_exp": "exploration",
    "loss_task": "exploitation",
    "td_error_abs": "|TD error|",
    "q_taken_mean": "Q",
    "grad_norm": "gradient",
}
_BAR_WIDTH, _LEAST_BAR_WIDTH = 24, 8
_NAME_AND_BAR_WIDTH = 38  # what the numbers leave in a terminal of 80 columns
_PANEL_WIDTH = 88
_MOST_TASKS = 16  # of more tasks, those that are won least are shown: a terminal has few rows


def live_table(
    trials: Iterable[TrialProgress], notice: str = "", idle: str = "Starting the trial"
) -> RenderableType:
    """A panel for each running trial.

    Args:
        trials: The running trials.
        notice: A line below the panels, if not empty.
        idle: What happens while no trial runs.
    """
    panels: list[RenderableType] = [_panel(trial) for trial in trials]
    if not panels:
        panels.append(Text(idle, style="dim"))
    if notice:
        panels.append(Text(notice, style="yellow"))
    return Group(*panels)


def _panel(trial: TrialProgress) -> Panel:
    elapsed = clock_text(trial.clock() - trial.started)
    left = clock_text(trial.seconds_left())
    content: RenderableType = Text("waiting for the first result", style="dim")
    if trial.latest:
        content = Group(_counters(trial), Text(), _tasks(trial), Text(), _learner(trial))
        if failures := _failures(trial):
            content = Group(content, Text(), Text(failures, style="yellow"))
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


def _columns(values: Mapping[str, str], gap: int = 3) -> Table:
    table = Table(box=None, padding=(0, gap, 0, 0), header_style="dim", pad_edge=False)
    for name in values:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(*values.values())
    return table


def _counters(trial: TrialProgress) -> Table:
    return _columns(
        {
            "iteration": _count(trial.number("training_iteration")),
            "env steps": _count(trial.number(ENV_STEPS)),
            "steps/s": _count(trial.speed(ENV_STEPS)),
            "episodes": _count(trial.number(EPISODES_PATH)),
            "return": _decimal(trial.number(RETURN_MEAN_PATH)),
            "length": _decimal(trial.number(LENGTH_MEAN_PATH)),
            "ε": _decimal(trial.number(SCHEDULE_PATH + "epsilon")),
            "α": _decimal(trial.number(SCHEDULE_PATH + "alpha")),
        }
    )


def _tasks(trial: TrialProgress) -> Table:
    win_rates, priorities = trial.numbers_under(WIN_RATE_PATH), trial.numbers_under(PRIORITY_PATH)
    truncated = trial.numbers_under(TRUNCATED_SHARE_PATH)
    tasks, others = _least_won({**dict.fromkeys(priorities), **win_rates})
    width = _NAME_AND_BAR_WIDTH - max(map(len, tasks), default=0)  # long names shorten the bars
    width = min(max(width, _LEAST_BAR_WIDTH), _BAR_WIDTH)
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("task", overflow="fold")
    table.add_column("win rate", justify="right")
    table.add_column("", width=width)
    table.add_column("timeout", justify="right")
    table.add_column("priority", justify="right")
    for task, rate in tasks.items():
        cells = _percent(truncated.get(task)), _decimal(priorities.get(task))
        table.add_row(task, _percent(rate), _bar(rate, width), *cells)
    if others:
        table.add_row(f"{others} won more", style="dim")
    mean = trial.number(WIN_RATE_MEAN_PATH)
    table.add_row("mean", _percent(mean), _bar(mean, width), "", "", style="bold")
    return table


def _least_won(rates: Mapping[str, float | None]) -> tuple[dict[str, float | None], int]:
    """The tasks that are won least, in the order of all, and how many others there are."""
    ranked = sorted(rates, key=lambda task: rates[task] or 0.0)
    shown = set(ranked[:_MOST_TASKS])
    return {task: rates[task] for task in rates if task in shown}, len(ranked) - len(shown)


def _learner(trial: TrialProgress) -> RenderableType:
    values = trial.numbers_under(LEARNER_PATH)
    others = [key for key in values if key.startswith("loss_") and key not in _LEARNER_COLUMNS]
    headings = {**_LEARNER_COLUMNS, **{key: key for key in others}}
    known = {name: _decimal(values[key], 3) for key, name in headings.items() if key in values}
    gap = 3 if len(known) < len(_LEARNER_COLUMNS) else 2  # all of them fit in 80 columns
    return _columns(known, gap) if known else Text("collecting episodes to learn from", style="dim")


def _bar(rate: float | None, width: int) -> ProgressBar:
    return ProgressBar(
        total=1.0,
        completed=rate or 0.0,
        width=width,
        complete_style="green",
        finished_style="bold green",
    )


def plain_line(trial: TrialProgress) -> str:
    """One line of a log, without escape codes."""
    rates, others = _least_won(trial.numbers_under(WIN_RATE_PATH))
    tasks = ", ".join(f"{task} {_percent(rate)}" for task, rate in rates.items())
    tasks += f", {others} won more" if others else ""
    failures = _failures(trial)
    return (
        f"[{clock_text(trial.clock() - trial.started)}] {trial.name}: "
        f"iteration {_count(trial.number('training_iteration'))}, "
        f"{_count(trial.number(ENV_STEPS))} env steps, "
        f"{_count(trial.speed(ENV_STEPS))} steps/s, "
        f"win rate {_percent(trial.number(WIN_RATE_MEAN_PATH))} ({tasks}), "
        f"left about {clock_text(trial.seconds_left())}"
        f"{failures and f', {failures}'}"
    )


def _failures(trial: TrialProgress) -> str:
    """How often the environment has failed; empty if it has not."""
    failures = trial.number(RESTARTS_PATH)
    return f"failures of the environment: {_count(failures)} (-v shows them)" if failures else ""


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _decimal(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"
