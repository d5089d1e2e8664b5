"""Reproduces the results in ``docs/results/``: trains what is missing, plays, draws.

    make results EXPERIMENT=small_mt
    make results EXPERIMENT="small_mt large_mt" ARGS="--jobs 4"
    make results EXPERIMENT=small_mt ARGS=--status
    make results                                      # lists the experiments

Finished runs are in the CSV files of ``docs/results/NAME/`` and are never trained again. Each run
is added there as soon as it has ended. Interrupted runs continue from their checkpoints in
``results/``. ``--import`` takes what ``rllib train file tuned_examples/paper/NAME.yaml`` has
trained, also while it still trains.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from drawing import SUMMARY, draw
from final_episodes import open_runs, play, unplayed
from front_page import NAME as METHODS_BLOCK
from front_page import methods_table
from page import PAGE, begins, update_page
from planned_runs import PlannedRun, experiment_files, read_experiment_file
from questions import QUESTIONS, question
from rich.console import Console
from run_store import RunStore
from status import list_experiments, show_status
from training import names, next_call, run_command
from trial_folders import finished_runs, other_settings

from rllib_ptm.checks.errors import InputError, unknown_name
from rllib_ptm.cli.run.script import run_script
from rllib_ptm.process import set_environment_variables

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = Console(highlight=False, soft_wrap=True)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    experiment: Annotated[
        list[str] | None,
        typer.Argument(help="Names of experiments, or all; without a name they are listed."),
    ] = None,
    results: Annotated[
        Path, typer.Option(help="The results folder of rllib train, with the checkpoints.")
    ] = Path("results"),
    variant: Annotated[
        str | None, typer.Option(help="Train only the runs of this variant, such as ptm_popart.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many runs train at once.")] = 2,
    status: Annotated[
        bool, typer.Option("--status", help="Show what is finished and what is missing.")
    ] = False,
    draw_only: Annotated[
        bool, typer.Option("--draw-only", help="Draw what the CSV files hold; train nothing.")
    ] = False,
    imports: Annotated[
        bool,
        typer.Option("--import", help="Add what has finished in --results, and draw it."),
    ] = False,
    plays: Annotated[
        bool, typer.Option("--play/--no-play", help="Whether final policies play what is missing.")
    ] = True,
    forget: Annotated[
        str | None, typer.Option(metavar="VARIANT", help="Remove the rows of this variant.")
    ] = None,
    yaml_folder: Annotated[
        Path, typer.Option("--experiments", help="The folder of the experiments' YAML files.")
    ] = ROOT / "tuned_examples" / "paper",
    docs: Annotated[Path, typer.Option(help="The folder of the CSV files and figures.")] = ROOT
    / "docs"
    / "results",
) -> None:
    """Reproduces experiments."""
    known = experiment_files(yaml_folder)
    if not experiment:
        list_experiments([read_experiment_file(yaml_folder, name) for name in known], docs, CONSOLE)
        return
    for option, folder in (("--results", results), ("--docs", docs)):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{option}: expected a folder, found the file {folder}")
    chosen = list(known) if experiment == ["all"] else list(dict.fromkeys(experiment))
    stores = [RunStore.load(read_experiment_file(yaml_folder, name), docs) for name in chosen]
    if status:
        show_status(stores, results, CONSOLE)
        return
    if forget is not None:
        for store in stores:
            _forget(store, forget)
        return
    for store in stores:
        store.check()
        if variant is not None and variant not in store.experiment.variants:
            raise unknown_name("--variant", variant, store.experiment.variants)
    for store in stores if not draw_only else ():
        _import(store, results)
        if not imports:
            _train_missing(store, results, variant, jobs, plays)
        if plays:
            _play_missing(store, results)
            _say_who_cannot_play(store, results)
    _draw(docs, yaml_folder, stores)


def _import(store: RunStore, results: Path, *, says_what_is_left_out: bool = True) -> None:
    """Adds the runs that have finished in the results folder."""
    known = [key for key, run in store.runs.items() if run.run.final]
    new = store.add(finished_runs(store.experiment, results, known))
    for run in new:
        CONSOLE.print(f"{store.experiment.name}: {run.run.variant}, seed {run.run.seed}: finished")
    if says_what_is_left_out:
        for line in other_settings(store.experiment, results):
            CONSOLE.print(line)


def _train_missing(
    store: RunStore, results: Path, variant: str | None, jobs: int, plays: bool
) -> None:
    """Trains what is missing, of one variant or of all. After each call its policies play.

    So their battles are not lost if the rest is trained on another machine.

    Raises:
        Exit: A call was interrupted or has failed, or its runs have not finished.
    """
    name = store.experiment.name

    def left() -> list[PlannedRun]:
        return [run for run in store.missing() if variant in (None, run.variant)]

    while missing := left():
        call = next_call(store.experiment, missing, results, jobs)
        verb = f"continues {results / call.resumed}" if call.resumed else "trains"
        CONSOLE.print(f"{name}: {len(missing)} runs are missing; {verb}: {names(call.runs)}")
        code = run_command(
            call.command(results.absolute(), question(name).episodes),
            lambda: _import(store, results, says_what_is_left_out=False),
        )
        if code:
            raise typer.Exit(code)
        if len(left()) == len(missing):
            raise InputError(f"{name}: rllib train has ended, but none of these runs has finished")
        if plays:
            _play_missing(store, results)


def _play_missing(store: RunStore, results: Path) -> None:
    for trained, checkpoint in unplayed(store, results):
        variant, seed = trained.key
        CONSOLE.print(f"{store.experiment.name}: the policy of {variant}, seed {seed} plays")
        store.add([play(store, trained, checkpoint)])


def _say_who_cannot_play(store: RunStore, results: Path) -> None:
    gone = [run for run in store.experiment.runs if run.key in open_runs(store)]
    if gone:
        CONSOLE.print(
            f"{store.experiment.name}: {names(gone)}: no checkpoint is left in {results}, so these "
            f"policies play no final episodes"
        )


def _forget(store: RunStore, variant: str) -> None:
    count = sum(key[0] == variant for key in store.runs)
    if not count:
        raise InputError(
            f"--forget: {store.experiment.name} has no finished run of {variant!r}; it has "
            f"{', '.join(sorted({key[0] for key in store.runs})) or 'none'}"
        )
    store.forget(variant)
    CONSOLE.print(f"{store.experiment.name}: removed the rows of {count} runs of {variant}")


def _draw(docs: Path, yaml_folder: Path, stores: Sequence[RunStore]) -> None:
    """Draws the experiments that have finished runs.

    It reads the CSV files again. Their numbers are rounded, so figures are equal on every machine.
    """
    blocks = {}
    for experiment in (store.experiment for store in stores):
        store, name = RunStore.load(experiment, docs), experiment.name
        if store.runs:
            blocks[name] = draw(store, docs, partial(read_experiment_file, yaml_folder))
        else:
            CONSOLE.print(f"{name}: no run has finished; there is nothing to draw")
    if blocks:
        update_page(docs / PAGE, blocks, {name: question(name).title for name in blocks})
        _update_front_page(docs)
        CONSOLE.print(f"Written to {docs}: {', '.join(blocks)}")


def _update_front_page(docs: Path) -> None:
    """Writes the methods' table to the page above ``docs``, if it has a place for it."""
    page = docs.absolute().parents[1] / PAGE
    table = methods_table(docs, list(QUESTIONS), SUMMARY)
    if table and page.is_file() and begins(METHODS_BLOCK) in page.read_text(encoding="utf-8"):
        update_page(page, {METHODS_BLOCK: table}, {})


def run(arguments: Sequence[str]) -> int:
    """Runs the command, and returns its exit code."""
    return run_script(app, arguments, "reproduce.py")


if __name__ == "__main__":
    set_environment_variables()
    sys.exit(run(sys.argv[1:]))
