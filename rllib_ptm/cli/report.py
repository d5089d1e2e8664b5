"""What the user gets when a trial has ended: a table, a picture, and where everything lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from rllib_ptm.cli.experiment import Experiment
from rllib_ptm.cli.plot import plot_win_rates
from rllib_ptm.cli.results import result_table, write_results

if TYPE_CHECKING:
    from ray.tune import Result


def report_trial(experiment: Experiment, result: Result, episodes: int, console: Console) -> bool:
    """Plays a trial's last checkpoint and shows what came of it.

    Args:
        experiment: What was trained.
        result: A trial that has ended.
        episodes: Greedy games per task.
        console: Where to write.

    Returns:
        False where the trial failed, so that there is nothing to play.
    """
    folder = Path(result.path)
    if result.error is not None or result.checkpoint is None:
        _report_failure(experiment, result, folder)
        return False
    checkpoint = Path(result.checkpoint.path)
    with console.status(f"Playing {episodes} games of each task"):
        from rllib_ptm.evaluation import evaluate_checkpoint

        games = evaluate_checkpoint(str(checkpoint), episodes_per_task=episodes)
    csv, picture, table = folder / "progress.csv", folder / "win_rate.png", folder / "final.json"
    title = f"{experiment.name}: {experiment.algorithm}, {experiment.config.get('method', 'ptm')}"
    plot_win_rates(csv, {row.task: row.win_rate for row in games}, title, picture)
    write_results(games, table)
    console.print()
    console.print(result_table(games, f"{experiment.name}: greedy games of the last checkpoint"))
    _print_paths(
        console,
        {
            "checkpoint": checkpoint,
            "results": csv,
            "TensorBoard": folder,
            "win rates": picture,
            "final games": table,
        },
    )
    return True


def report_interrupted(experiment: Experiment, result: Result, console: Console) -> None:
    """Says what an interrupted run has left, and how to go on."""
    saved = Path(result.checkpoint.path) if result.checkpoint else "none"
    console.print(f"[yellow]{experiment.name}: interrupted.[/yellow]")
    _print_paths(console, {"checkpoint": saved, "results": Path(result.path) / "progress.csv"})
    console.print("The same command with --resume goes on from there.")


def _report_failure(experiment: Experiment, result: Result, folder: Path) -> None:
    lines = str(result.error or "it left no checkpoint").strip().splitlines()
    log = folder / "error.txt"
    where = log if log.is_file() else folder
    Console(stderr=True).print(
        f"[red]{experiment.name}: a trial failed:[/red] {escape(lines[-1])}\n"
        f"The whole story: {escape(str(where))}",
        highlight=False,
        soft_wrap=True,
    )


def _print_paths(console: Console, paths: dict[str, Path | str]) -> None:
    width = max(map(len, paths))
    for name, path in paths.items():
        console.print(
            f"[dim]{name:<{width}}[/dim]  {escape(str(path))}", highlight=False, soft_wrap=True
        )
