"""``rllib evaluate``: plays a checkpoint greedily."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from typer import Exit

from rllib_ptm import pretrained
from rllib_ptm.checks.errors import InputError, located, unknown_name
from rllib_ptm.checks.writable import check_file
from rllib_ptm.cli.options.declared import BY_COMPOSITION, BY_TASK, EvaluateOptions
from rllib_ptm.cli.read.python_file import run_python_file
from rllib_ptm.cli.run.cluster import import_ray, set_ray_variables
from rllib_ptm.cli.run.drawings import check_drawings, draw
from rllib_ptm.cli.run.exit_codes import EXIT_FAILED
from rllib_ptm.cli.show.comparison_table import (
    NAMES,
    check_number,
    comparison_records,
    comparison_table,
)
from rllib_ptm.cli.show.messages import print_errors, working
from rllib_ptm.cli.show.task_table import (
    check_result_file,
    task_table,
    write_records,
    write_results,
)
from rllib_ptm.environment.contract import FailingEnvironmentError, TeamGame
from rllib_ptm.environment.names import (
    STARCRAFT,
    check_can_play,
    check_composed,
    check_name,
    check_named_by_user,
    game_of,
)
from rllib_ptm.extensions import check_imported, import_extensions
from rllib_ptm.process import make_importable
from rllib_ptm.replay.array_files import local_path
from rllib_ptm.replay.episodes import TeamEpisode

_MARKER = "rllib_checkpoint.json"
# Where a checkpoint says what its policy was trained in; see ``checkpoints.saved_policy``.
_POLICY_CONFIG = "policy/config.json"
# Keys of env_config that options replace.
_OPTIONS = {"tasks": "--tasks", "backend": "--backend", "save_replay_dir": "--save-replay"}
_OF_STARCRAFT = {"backend", "save_replay_dir"}


# A checkpoint's folder, or the name of a pretrained policy: what plays it takes both.
Played = Path | str


def evaluate(checkpoints: Sequence[str], options: EvaluateOptions) -> None:
    """Plays checkpoints, shows a table, and writes the files that the options name.

    Args:
        checkpoints: A checkpoint's folder or a pretrained policy's name, or several of them, which
            are compared.
        options: The options of the command.

    Raises:
        InputError: There is no such checkpoint, or an option cannot be used.
        Exit: The environment fails again and again.
    """
    if options.by not in (BY_TASK, BY_COMPOSITION):
        raise unknown_name("--by", options.by, (BY_TASK, BY_COMPOSITION))
    played = [_played(checkpoint) for checkpoint in checkpoints]
    notes = [*filter(None, map(pretrained.shadowed, dict.fromkeys(checkpoints)))]
    _check_files(options, len(played))
    changes = _changes(options)
    env = _environment(options.env)
    _import_extensions(options.extensions)
    for one in played:
        _check_settings(one, env, changes, options.by)
    console = Console()
    for note in notes:
        console.print(note, soft_wrap=True, highlight=False, markup=False)
    try:
        if len(played) == 1:
            _evaluate_one(console, played[0], env, changes, options)
        else:
            _compare(console, played, env, changes, options)
    except FailingEnvironmentError as error:
        print_errors([str(error)])
        raise Exit(EXIT_FAILED) from error


def _played(written: str) -> Played:
    """The folder or the name that a user means.

    Raises:
        InputError: It is neither.
    """
    if pretrained.is_name(written):
        return written
    with located("checkpoint: "):
        folder = local_path(written)
    if not any(os.path.isfile(folder / file) for file in (_MARKER, _POLICY_CONFIG)):
        raise _not_a_checkpoint(written, folder)
    return folder


def _evaluate_one(
    console: Console,
    played: Played,
    env: str | None,
    changes: Mapping[str, Any],
    options: EvaluateOptions,
) -> None:
    with working(console, f"Playing {options.episodes} episodes of each task"):
        import_ray()
        from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer  # imports torch and JAX
        from rllib_ptm.evaluate.datasets import check_datasets
        from rllib_ptm.evaluate.player.names import policy_names

        with _options_named():
            player = CheckpointPlayer(played, env=env, env_config=changes)
        try:
            draw([player], policy_names([played]), options)  # first: not all environments can
            if options.record is not None:
                with located("--record: "):
                    check_datasets(options.record, player.tasks)
            by_composition = options.by == BY_COMPOSITION
            episodes: list[TeamEpisode] = []
            keep = episodes.extend if options.record is not None else None
            results = player.results(options.episodes, options.seed, by_composition, keep)
            if options.record is not None:
                player.record(options.record, episodes, str(played))
        finally:
            player.close()
    console.print(task_table(results))
    if options.out is not None and options.snapshots is None:
        write_results(results, options.out)
    _print_written(console, options)


def _compare(
    console: Console,
    played: Sequence[Played],
    env: str | None,
    changes: Mapping[str, Any],
    options: EvaluateOptions,
) -> None:
    check_number(played)
    for option, value in (("--record", options.record), ("--save-replay", options.save_replay)):
        if value is not None:
            raise InputError(f"{option}: expected one checkpoint, found {len(played)}")
    with working(console, f"Playing {options.episodes} episodes of each task, {len(played)} times"):
        import_ray()
        from rllib_ptm.evaluate.comparison import Comparison  # imports torch and JAX
        from rllib_ptm.evaluate.player.names import policy_names

        others = {key: value for key, value in changes.items() if key != "tasks"}
        with _options_named():
            comparison = Comparison(played, tasks=changes.get("tasks"), env=env, env_config=others)
        try:
            draw(comparison.players, policy_names(played), options)
            by_composition = options.by == BY_COMPOSITION
            compared = comparison.play(options.episodes, options.seed, by_composition)
        finally:
            comparison.close()
    names = [f"{name}  {one}" for name, one in zip(NAMES, played, strict=False)]
    for line in (*names, *comparison.notes):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print(comparison_table(compared))
    if options.out is not None and options.snapshots is None:
        write_records(comparison_records(compared), options.out)
    _print_written(console, options)


def _print_written(console: Console, options: EvaluateOptions) -> None:
    for written in filter(None, (options.out, options.render, options.record, options.save_replay)):
        console.print(f"Written to {written.absolute()}", soft_wrap=True, highlight=False)


def _changes(options: EvaluateOptions) -> dict[str, Any]:
    """The keys of ``env_config`` that the options replace."""
    changes: dict[str, Any] = {}
    if options.tasks is not None:
        names = [name.strip() for name in options.tasks.split(",")]
        if not all(names):
            raise InputError(
                f"--tasks: expected names with one comma between two, such as '3m,5m_vs_6m', found "
                f"{options.tasks!r}"
            )
        changes["tasks"] = names
    if options.backend is not None:
        changes["backend"] = options.backend
    if options.save_replay is not None:
        changes["save_replay_dir"] = str(options.save_replay.absolute())
    return changes


@contextmanager
def _options_named() -> Iterator[None]:
    """Names the options in messages, in place of the keys that they replace."""
    try:
        yield
    except InputError as error:
        raise type(error)(*map(_with_option, error.lines)) from None


def _with_option(line: str) -> str:
    for key, option in _OPTIONS.items():
        if line.startswith(place := f"env_config.{key}:"):
            return f"{option}:{line.removeprefix(place)}"
    return line


def _environment(named: str | None) -> str | None:
    """The environment that the user names; None = that of each checkpoint.

    A Python file is run, as it may register the environments of the checkpoints.
    """
    set_ray_variables()  # the user's own code may import Ray
    make_importable(Path.cwd())
    if named is None or not named.endswith(".py"):
        return named
    file = Path(named)
    if not file.is_file():
        raise InputError(f"--env: {named!r}: there is no such file")
    make_importable(file.parent)
    import_ray()
    with located("--env: "):
        run_python_file(file)
    return None


def _import_extensions(named: str | None) -> None:
    """Imports the modules that ``--extensions`` names."""
    if named is not None:
        import_extensions([name.strip() for name in named.split(",")], "--extensions")


def _check_settings(played: Played, named: str | None, changes: Mapping[str, Any], by: str) -> None:
    """Checks the options before Ray is loaded, which takes seconds.

    It reads one file of the checkpoint, and leaves one that is damaged to the check of them all.

    Args:
        played: The checkpoint, or the pretrained policy.
        named: The environment that the user names; None = the checkpoint's.
        changes: The keys of ``env_config`` that the options replace.
        by: What has a row of its own.
    """
    folder = pretrained.find_policy(played)
    try:
        config = json.loads((folder / _POLICY_CONFIG).read_text())
        trained_in, env_config = str(config["env"]), config["env_config"]
        extensions = list(config.get("training", {}).get("extensions", ()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    with located(f"{folder}: "):
        check_imported(extensions, "--extensions ")
    if named is None:
        with located(f"{folder}: "):
            check_named_by_user(trained_in, "--env ", ", or the file that registers it: --env X.py")
    env = named or trained_in
    with located("--env: "):
        check_can_play(env, trained_in)
    for key in _OF_STARCRAFT & changes.keys():
        if env != STARCRAFT:
            raise InputError(f"{_OPTIONS[key]}: it changes nothing in {env!r}, only in {STARCRAFT}")
    with located("--"):
        check_name(env)
    with _options_named():
        game = _game(env, trained_in, env_config).with_settings(changes)
    if by == BY_COMPOSITION:
        with located(f"--by {BY_COMPOSITION}: "):
            check_composed(game)


def _game(env: str, trained_in: str, env_config: Mapping[str, Any]) -> TeamGame:
    """The game of the environment that the user names, with the settings of the training.

    Raises:
        InputError: It does not take them. One of another name may have none of the keys; then one
            line says so.
    """
    try:
        return game_of(env, env_config)
    except InputError as error:
        if env == trained_in:
            raise
        more = f" (and {len(error.lines) - 1} more)" if len(error.lines) > 1 else ""
        raise InputError(
            f"--env: {env!r} does not take the settings of {trained_in!r}, in which the policy was "
            f"trained: {error.lines[0]}{more}"
        ) from None


def _check_files(options: EvaluateOptions, num_checkpoints: int) -> None:
    """Checks before the first episode that the files can be written after the last one."""
    check_drawings(options, num_checkpoints)
    if options.out is not None and options.snapshots is None:
        check_result_file(options.out)
    for option, file in (("--out", options.out), ("--render", options.render)):
        if file is not None:
            check_file(option, file)


def _not_a_checkpoint(written: str, path: Path) -> InputError:
    is_folder, exists = os.path.isdir(path), os.path.lexists(path)
    files = path.glob(f"**/{_MARKER}") if is_folder else ()
    inside = sorted(files, key=lambda p: p.stat().st_mtime)
    # A checkpoint holds the checkpoints of its components. The outermost is the policy's.
    outermost = [p.parent for p in inside if not (p.parent.parent / _MARKER).is_file()]
    hint = f"; did you mean {str(outermost[-1])!r}?" if outermost else ""
    found = "a folder without it" if is_folder else "a file" if exists else "nothing"
    hint = hint or pretrained.name_hint(written, _checkpoints_here())
    other = pretrained.shadowed(written)
    return InputError(
        f"checkpoint {written!r}: expected a folder that holds {_MARKER}, found {found}{hint}"
        f"{'; ' if other else ''}{other}"
    )


def _checkpoints_here() -> list[str]:
    """The names of the checkpoints in the working directory."""
    return [file.parent.name for file in Path().glob(f"*/{_MARKER}")]
