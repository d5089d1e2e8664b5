"""``rllib evaluate``: greedy games of a checkpoint."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from envs.errors import InputError
from envs.tasks import TASK_SETS, parse_tasks
from rllib_ptm.cli.cluster import ClusterOptions, quieten_ray
from rllib_ptm.cli.results import check_result_file, result_table, write_results

_MARKER = "rllib_checkpoint.json"


def evaluate(
    checkpoint: Path, tasks: str | None, episodes: int, seed: int, out: Path | None
) -> None:
    """Plays a checkpoint, shows a table, and stores it where asked to.

    Args:
        checkpoint: A checkpoint's folder.
        tasks: Task names, parted by commas, or a task set; None = those it was trained on.
        episodes: Games per task.
        seed: Of the battles.
        out: A ``.json`` or ``.csv`` file to write, too.

    Raises:
        InputError: There is no such checkpoint, or the tasks or the file cannot be used.
    """
    if not (checkpoint / _MARKER).is_file():
        raise _not_a_checkpoint(checkpoint)
    names = _task_names(tasks)
    if out is not None:
        check_result_file(out)
    console = Console()
    with console.status(f"Playing {episodes} games of each task"):
        quieten_ray(ClusterOptions())
        from rllib_ptm.evaluation import evaluate_checkpoint  # brings in torch and JAX

        results = evaluate_checkpoint(
            str(checkpoint.absolute()), tasks=names, episodes_per_task=episodes, seed=seed
        )
    console.print(result_table(results))
    if out is not None:
        write_results(results, out)
        console.print(f"Written to {out.absolute()}", soft_wrap=True)


def _task_names(tasks: str | None) -> str | tuple[str, ...] | None:
    if tasks is None or tasks in TASK_SETS:
        return tasks
    try:
        return tuple(task.name for task in parse_tasks(tasks.split(",")))
    except InputError as error:
        raise InputError(f"--tasks: {error}") from None


def _not_a_checkpoint(path: Path) -> InputError:
    inside = sorted(path.glob(f"**/{_MARKER}"), key=lambda p: p.stat().st_mtime)
    # A checkpoint holds the checkpoints of its components; the outermost is the policy's.
    outermost = [p.parent for p in inside if not (p.parent.parent / _MARKER).is_file()]
    hint = f"; did you mean {str(outermost[-1])!r}?" if outermost else ""
    found = "a folder without it" if path.is_dir() else "nothing" if not path.exists() else "a file"
    return InputError(
        f"checkpoint {str(path)!r}: expected a folder that holds {_MARKER}, found {found}{hint}"
    )
