"""The report of a trial that has ended: a table, a plot, and the paths of its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.experiment_settings import CheckpointSettings
from rllib_ptm.cli.show.messages import working
from rllib_ptm.cli.show.plot import plot_win_rates
from rllib_ptm.cli.show.task_table import task_table, write_results
from rllib_ptm.cli.show.trial_names import trial_name
from rllib_ptm.results.flat import flatten, number_in
from rllib_ptm.results.trial_files import RESULTS_CSV, broken_rows_text, mend_table, read_rows

if TYPE_CHECKING:
    import pandas as pd
    from ray.tune import Checkpoint, Result

# The final episodes. Their seeds differ from those that may have chosen the checkpoint.
FINAL_SEED = 1_000_000


def report_trial(experiment: Experiment, result: Result, episodes: int, console: Console) -> bool:
    """Plays a trial's best checkpoint, or its last, and shows the results.

    Args:
        experiment: What was trained.
        result: A trial that has ended.
        episodes: Greedy episodes of each task.
        console: Where to print.

    Returns:
        False if the trial failed, or its checkpoint is damaged; then there is nothing to play.
    """
    folder = Path(result.path)
    if result.error is not None or result.checkpoint is None:
        _report_failure(experiment, result, folder)
        return False
    chosen, which = checkpoint_to_play(experiment.checkpoint, result)
    if broken := broken_rows_text(folder):
        console.print(f"{experiment.name}: {escape(broken)}", highlight=False, soft_wrap=True)
    with working(console, f"Playing {episodes} episodes of each task"):
        from rllib_ptm.checkpoints.contents import CheckpointError
        from rllib_ptm.environment.contract import FailingEnvironmentError
        from rllib_ptm.evaluate.checkpoint_player import evaluate_checkpoint

        try:
            rows = evaluate_checkpoint(
                chosen.path,
                env=experiment.config["env"],
                episodes_per_task=episodes,
                seed=FINAL_SEED,
            )
        except (CheckpointError, FailingEnvironmentError) as error:  # others can be played
            _print_error(f"{experiment.name}: the {which} checkpoint cannot be played:", str(error))
            return False
    plot, stored = folder / "win_rate.png", folder / "final.json"
    final = {row.task: row.win_rate for row in rows}
    progress = read_progress(folder)
    if len(progress):
        plot_win_rates(progress, final, experiment.name, plot)
    write_results(rows, stored)
    console.print()
    console.print(task_table(rows, f"{experiment.name}: greedy episodes of the {which} checkpoint"))
    paths = {
        "checkpoint": chosen.path,
        "results": folder / RESULTS_CSV,
        "TensorBoard": folder,
        "win rates": plot,
        "final episodes": stored,
    }
    if not len(progress):
        del paths["win rates"]
    _print_paths(console, paths)
    return True


def checkpoint_to_play(settings: CheckpointSettings, result: Result) -> tuple[Checkpoint, str]:
    """The checkpoint with the best score if the experiment names a score; else the last.

    Returns:
        The checkpoint, and which it is: "best" or "last".
    """
    attribute = settings.checkpoint_score_attribute
    sign = 1.0 if settings.checkpoint_score_order == "max" else -1.0
    scored = []
    for checkpoint, metrics in result.best_checkpoints or []:
        score = number_in(flatten(metrics), attribute or "")
        if score is not None:  # only some iterations have an evaluation
            scored.append((sign * score, checkpoint))
    if not scored:
        return result.checkpoint, "last"
    return max(reversed(scored), key=lambda pair: pair[0])[1], "best"  # of equal ones the newest


def read_progress(folder: Path) -> pd.DataFrame:
    """Reads a trial's results, a row per iteration, and completes ``progress.csv`` with them.

    That file may be Tune's own, which has only the columns of the first iteration.
    """
    import pandas as pd

    mend_table(folder)
    table, file = pd.DataFrame(read_rows(folder)), folder / RESULTS_CSV
    columns = list(pd.read_csv(file, nrows=0)) if file.is_file() else []
    columns += [column for column in table.columns if column not in columns]
    table.reindex(columns=columns).to_csv(file, index=False)
    return table


def report_interrupted(experiment: Experiment, results: Sequence[Result], console: Console) -> None:
    """Shows the files of an interrupted run's trials, and how to resume it."""
    for result in results:
        name = trial_name(experiment.name, result, len(results))
        saved = result.checkpoint.path if result.checkpoint else "none"
        state = "finished" if (result.metrics or {}).get("done") else "interrupted"
        console.print(f"[yellow]{name}: {state}[/yellow]")
        _print_paths(console, {"checkpoint": saved, "results": Path(result.path) / RESULTS_CSV})
    saved_trials = [result for result in results if result.checkpoint]
    if not saved_trials:
        console.print("Without a checkpoint there is nothing to resume.")
    elif len(saved_trials) == len(results):
        console.print("The same command with --resume continues from there.")
    else:
        console.print(
            "The same command with --resume continues from there. A trial without a checkpoint "
            "begins again.",
            soft_wrap=True,
        )


def _report_failure(experiment: Experiment, result: Result, folder: Path) -> None:
    log = folder / "error.txt"
    where = log if log.is_file() else folder
    cause = f"{_cause(result.error)}\nThe whole story: {where}"
    _print_error(f"{experiment.name}: a trial failed:", cause)


def _print_error(what: str, why: str) -> None:
    Console(stderr=True).print(
        f"[red]{escape(what)}[/red] {escape(why)}", highlight=False, soft_wrap=True
    )


def _cause(error: Exception | None) -> str:
    """The last line of a traceback that names an exception. Notes may follow it."""
    lines = str(error or "it left no checkpoint").strip().splitlines()
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)]
    return (named or lines)[-1]


def _print_paths(console: Console, paths: dict[str, Path | str]) -> None:
    width = max(map(len, paths))
    for name, path in paths.items():
        console.print(
            f"[dim]{name:<{width}}[/dim]  {escape(str(path))}", highlight=False, soft_wrap=True
        )
