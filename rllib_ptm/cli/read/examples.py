"""The experiment files that come with the package."""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path

from rllib_ptm.checks.errors import InputError, unknown_name


def examples_folder() -> Path:
    """The folder of the examples: in the installed package, or beside it in a source tree."""
    package = Path(str(files("rllib_ptm")))
    installed = package / "tuned_examples"
    return installed if installed.is_dir() else package.parent / "tuned_examples"


def examples() -> dict[str, Path]:
    """The example files by name, without their extension."""
    return {path.stem: path for path in sorted(examples_folder().glob("*.yaml"))}


def example(name: str) -> Path:
    """The file of one example.

    Raises:
        InputError: There is no example of that name.
    """
    known = examples()
    if name not in known:
        raise unknown_name("example", name, known)
    return known[name]


def description(path: Path) -> str:
    """An example's own description: the comment in its first line."""
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def find_experiment_file(path: Path) -> Path:
    """The file at that path, or else the installed example of that name.

    Args:
        path: A path, or ``tuned_examples/NAME.yaml`` or ``NAME.yaml`` for an example.

    Raises:
        InputError: There is no such file.
    """
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:  # for example a name that is too long
        raise InputError(f"{str(path)!r:.100}: cannot be read: {error.strerror}") from None
    if is_file:
        return path
    known = examples()
    if path.suffix == ".yaml" and path.parent.name in ("", "tuned_examples") and path.stem in known:
        return known[path.stem]
    if is_folder:
        raise InputError(f"{path}: expected a file, found a folder")
    beside = [str(p) for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    shipped = [f"tuned_examples/{name}.yaml" for name in known]
    nearest = difflib.get_close_matches(str(path), [*beside, *shipped], n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise InputError(f"{path}: there is no such file{hint} (examples: {', '.join(shipped)})")
