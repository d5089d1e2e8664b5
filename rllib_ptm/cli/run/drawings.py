"""What ``rllib evaluate`` draws: films, the player's page, and figures of several moments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rllib_ptm.checks.errors import InputError, located
from rllib_ptm.cli.options.declared import EvaluateOptions
from rllib_ptm.environment.film import check_film_file, write_film

if TYPE_CHECKING:
    from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer

PAGE_SUFFIX = ".html"


def check_drawings(options: EvaluateOptions, num_checkpoints: int) -> None:
    """Checks the options before anything is played.

    Raises:
        InputError: An option cannot be used, or has no effect.
    """
    render, is_page = options.render, is_a_page(options.render)
    if render is not None and not is_page:
        check_film_file("--render", render, others=(PAGE_SUFFIX,))
        if num_checkpoints > 1:
            raise InputError(f"--render: expected one checkpoint, found {num_checkpoints}")
    if options.render_episodes is not None and not is_page:
        raise InputError(
            f"--render-episodes: it needs --render FILE{PAGE_SUFFIX}; a film shows one episode of "
            f"each task"
        )
    if options.snapshots is not None:
        _check_snapshots(options.out)


def is_a_page(render: Path | None) -> bool:
    """Whether the file of ``--render`` is the player's page."""
    return render is not None and render.suffix == PAGE_SUFFIX


def draw(
    players: Sequence[CheckpointPlayer], names: Sequence[str], options: EvaluateOptions
) -> None:
    """Writes the files that the options ask for.

    Args:
        players: One for each checkpoint.
        names: What to call their policies.
        options: The options of the command; see ``check_drawings``.

    Raises:
        InputError: The environment has no pictures, or does not describe its episodes; or the
            figure would show several tasks.
    """
    if options.render is not None and is_a_page(options.render):
        from rllib_ptm.evaluate.player.page import write_page

        with located("--render: "):
            episodes = [
                one
                for player, name in zip(players, names, strict=True)
                for one in player.watched(options.render_episodes or 1, options.seed, name)
            ]
            write_page(options.render, episodes)
    elif options.render is not None:
        with located("--render: "):
            write_film(options.render, players[0].pictures(options.seed))
    if options.snapshots is not None and options.out is not None:
        _draw_snapshots(players, names, options.seed, options.snapshots, options.out)


def _draw_snapshots(
    players: Sequence[CheckpointPlayer], names: Sequence[str], seed: int, columns: int, out: Path
) -> None:
    from rllib_ptm.evaluate.player.snapshots import write_snapshots

    tasks = players[0].tasks
    if len(tasks) != 1:
        raise InputError(
            f"--snapshots: a figure shows one task, found {len(tasks)}; choose one: --tasks "
            f"{tasks[0]}"
        )
    with located("--snapshots: "):
        episodes = [
            player.watched(1, seed, name)[0] for player, name in zip(players, names, strict=True)
        ]
    write_snapshots(out, episodes, columns)


def _check_snapshots(out: Path | None) -> None:
    from rllib_ptm.results.draw.canvas import check_figure_file

    if out is None:
        raise InputError("--snapshots: it needs --out FILE.png, .svg or .pdf for the figure")
    check_figure_file(out)
