"""``rllib evaluate``: plays a checkpoint greedily."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from rllib_ptm.checks.errors import InputError, located, unknown_name
from rllib_ptm.cli.read.options import EvaluateOptions
from rllib_ptm.cli.run.cluster import import_ray
from rllib_ptm.cli.show.comparison_table import (
    NAMES,
    check_number,
    comparison_records,
    comparison_table,
)
from rllib_ptm.cli.show.messages import working
from rllib_ptm.cli.show.task_table import (
    check_result_file,
    task_table,
    write_records,
    write_results,
)
from rllib_ptm.envs.starcraft.backends import BACKENDS
from rllib_ptm.envs.starcraft.tasks import TASK_SETS, parse_tasks
from rllib_ptm.replay.array_files import local_path

_MARKER = "rllib_checkpoint.json"
_Tasks = str | tuple[str, ...] | None


def evaluate(checkpoints: Sequence[Path], options: EvaluateOptions) -> None:
    """Plays checkpoints, shows a table, and writes the files that the options name.

    Args:
        checkpoints: A checkpoint's folder, or those of several, which are compared.
        options: The options of the command.

    Raises:
        InputError: There is no such checkpoint, or an option cannot be used.
    """
    folders = [local_path(checkpoint) for checkpoint in checkpoints]
    for checkpoint, folder in zip(checkpoints, folders, strict=True):
        if not os.path.isfile(folder / _MARKER):  # Path.is_file() raises if a name is too long
            raise _not_a_checkpoint(checkpoint, folder)
    tasks = _task_names(options.tasks)
    _check_files(options)
    _check_backend(options)
    if len(folders) == 1:
        _evaluate_one(folders[0], tasks, options)
    else:
        _compare(folders, tasks, options)


def _evaluate_one(folder: Path, tasks: _Tasks, options: EvaluateOptions) -> None:
    console = Console()
    with working(console, f"Playing {options.episodes} episodes of each task"):
        import_ray()
        from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer  # imports torch and JAX

        replays = None if options.save_replay is None else str(options.save_replay.absolute())
        player = CheckpointPlayer(
            folder, tasks=tasks, backend=options.backend, save_replay_dir=replays
        )
        try:
            results = player.results(options.episodes, options.seed)
            if options.render is not None:
                from rllib_ptm.envs.starcraft.video import write_video

                write_video(options.render, player.first_episodes(options.seed))
        finally:
            player.close()
    console.print(task_table(results))
    if options.out is not None:
        write_results(results, options.out)
    _print_written(console, options)


def _compare(folders: Sequence[Path], tasks: _Tasks, options: EvaluateOptions) -> None:
    check_number(folders)
    for option, value in (("--render", options.render), ("--save-replay", options.save_replay)):
        if value is not None:
            raise InputError(f"{option}: expected one checkpoint, found {len(folders)}")
    console = Console()
    with working(
        console, f"Playing {options.episodes} episodes of each task, {len(folders)} times"
    ):
        import_ray()
        from rllib_ptm.evaluate.comparison import Comparison  # imports torch and JAX

        comparison = Comparison(folders, tasks=tasks, backend=options.backend)
        try:
            compared = comparison.play(options.episodes, options.seed)
        finally:
            comparison.close()
    names = [f"{name}  {folder}" for name, folder in zip(NAMES, folders, strict=False)]
    for line in (*names, *comparison.notes):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print(comparison_table(compared))
    if options.out is not None:
        write_records(comparison_records(compared), options.out)
    _print_written(console, options)


def _print_written(console: Console, options: EvaluateOptions) -> None:
    for written in filter(None, (options.out, options.render, options.save_replay)):
        console.print(f"Written to {written.absolute()}", soft_wrap=True, highlight=False)


def _task_names(tasks: str | None) -> _Tasks:
    if tasks is None or tasks in TASK_SETS:
        return tasks
    names = [name.strip() for name in tasks.split(",")]
    if "" in names:
        raise InputError(
            f"--tasks: expected names with one comma between two, such as '3m,5m_vs_6m', found "
            f"{tasks!r}"
        )
    with located("--tasks: "):
        return tuple(task.name for task in parse_tasks(names))


def _check_files(options: EvaluateOptions) -> None:
    """Checks before the first episode that the files can be written after the last one."""
    if options.out is not None:
        check_result_file(options.out)
    if options.render is not None:
        from rllib_ptm.envs.starcraft.video import check_video_file

        with located("--render: "):
            check_video_file(options.render)
    for option, file in (("--out", options.out), ("--render", options.render)):
        if file is not None and not file.absolute().parent.is_dir():
            raise InputError(f"{option}: there is no folder {str(file.parent)!r}")
        if file is not None and file.is_dir():
            raise InputError(f"{option}: expected a file, found the folder {str(file)!r}")
        if file is not None and not os.access(file if file.exists() else file.parent, os.W_OK):
            raise InputError(f"{option}: {str(file)!r} cannot be written to")


def _check_backend(options: EvaluateOptions) -> None:
    backend = options.backend  # None: that of the training
    if backend is not None and backend not in BACKENDS:
        raise unknown_name("--backend", backend, BACKENDS)
    with_replays = [b for b in BACKENDS if "save_replay_dir" in BACKENDS[b].settings.key_names()]
    if options.save_replay is not None and backend not in (None, *with_replays):
        raise InputError(
            f"--save-replay: expected --backend {' or '.join(with_replays)}, whose game "
            f"writes replays, found {backend!r}; every backend has videos: --render FILE.gif"
        )


def _not_a_checkpoint(written: Path, path: Path) -> InputError:
    is_folder, exists = os.path.isdir(path), os.path.lexists(path)
    files = path.glob(f"**/{_MARKER}") if is_folder else ()
    inside = sorted(files, key=lambda p: p.stat().st_mtime)
    # A checkpoint holds the checkpoints of its components. The outermost is the policy's.
    outermost = [p.parent for p in inside if not (p.parent.parent / _MARKER).is_file()]
    hint = f"; did you mean {str(outermost[-1])!r}?" if outermost else ""
    found = "a folder without it" if is_folder else "a file" if exists else "nothing"
    return InputError(
        f"checkpoint {str(written)!r}: expected a folder that holds {_MARKER}, found {found}{hint}"
    )
