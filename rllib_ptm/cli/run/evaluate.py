"""``rllib evaluate``: greedy games of a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from envs.errors import InputError, unknown_name
from envs.starcraft.backends import BACKENDS
from envs.starcraft.tasks import TASK_SETS, parse_tasks
from rllib_ptm.cli.read.options import ClusterOptions, EvaluateChoices
from rllib_ptm.cli.run.cluster import quieten_ray
from rllib_ptm.cli.show.results import check_result_file, result_table, write_results

_MARKER = "rllib_checkpoint.json"
_BACKENDS_WITH_REPLAYS = ("sc2",)


def evaluate(checkpoint: Path, chosen: EvaluateChoices) -> None:
    """Plays a checkpoint, shows a table, and stores it where asked to.

    Args:
        checkpoint: A checkpoint's folder.
        chosen: The options.

    Raises:
        InputError: There is no such checkpoint, or an option cannot be used.
    """
    if not (checkpoint / _MARKER).is_file():
        raise _not_a_checkpoint(checkpoint)
    tasks = _task_names(chosen.tasks)
    _check_files(chosen)
    _check_backend(chosen)
    console = Console()
    with console.status(f"Playing {chosen.episodes} games of each task"):
        quieten_ray(ClusterOptions())
        from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer  # brings in torch and JAX

        replays = None if chosen.save_replay is None else str(chosen.save_replay.absolute())
        player = CheckpointPlayer(
            checkpoint, tasks=tasks, backend=chosen.backend, save_replay_dir=replays
        )
        try:
            results = player.results(chosen.episodes, chosen.seed)
            if chosen.render is not None:
                from envs.starcraft.video import write_video

                write_video(chosen.render, player.films(chosen.seed))
        finally:
            player.close()
    console.print(result_table(results))
    if chosen.out is not None:
        write_results(results, chosen.out)
    for written in filter(None, (chosen.out, chosen.render, chosen.save_replay)):
        console.print(f"Written to {written.absolute()}", soft_wrap=True, highlight=False)


def _task_names(tasks: str | None) -> str | tuple[str, ...] | None:
    if tasks is None or tasks in TASK_SETS:
        return tasks
    try:
        return tuple(task.name for task in parse_tasks([t.strip() for t in tasks.split(",")]))
    except InputError as error:
        raise InputError(f"--tasks: {error}") from None


def _check_files(chosen: EvaluateChoices) -> None:
    """Finds out before the games what cannot be written after them."""
    if chosen.out is not None:
        check_result_file(chosen.out)
    if chosen.render is not None:
        from envs.starcraft.video import check_video_file

        try:
            check_video_file(chosen.render)
        except InputError as error:
            raise InputError(f"--render: {error}") from None
    for option, file in (("--out", chosen.out), ("--render", chosen.render)):
        if file is not None and not file.absolute().parent.is_dir():
            raise InputError(f"{option}: there is no folder {str(file.parent)!r}")
        if file is not None and file.is_dir():
            raise InputError(f"{option}: expected a file, found the folder {str(file)!r}")
        if file is not None and not os.access(file if file.exists() else file.parent, os.W_OK):
            raise InputError(f"{option}: {str(file)!r} cannot be written to")


def _check_backend(chosen: EvaluateChoices) -> None:
    if chosen.backend is not None and chosen.backend not in BACKENDS:
        raise unknown_name("--backend", chosen.backend, BACKENDS)
    has_replays = chosen.backend in (None, *_BACKENDS_WITH_REPLAYS)  # None: the training's
    if chosen.save_replay is not None and not has_replays:
        raise InputError(
            f"--save-replay: expected --backend {' or '.join(_BACKENDS_WITH_REPLAYS)}, whose game "
            f"writes replays, found {chosen.backend!r}; a film can be had of any backend: "
            f"--render FILE.gif"
        )


def _not_a_checkpoint(path: Path) -> InputError:
    inside = sorted(path.glob(f"**/{_MARKER}"), key=lambda p: p.stat().st_mtime)
    # A checkpoint holds the checkpoints of its components; the outermost is the policy's.
    outermost = [p.parent for p in inside if not (p.parent.parent / _MARKER).is_file()]
    hint = f"; did you mean {str(outermost[-1])!r}?" if outermost else ""
    found = "a folder without it" if path.is_dir() else "nothing" if not path.exists() else "a file"
    return InputError(
        f"checkpoint {str(path)!r}: expected a folder that holds {_MARKER}, found {found}{hint}"
    )
