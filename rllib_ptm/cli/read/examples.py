"""The experiment files that come with the package."""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path

from rllib_ptm.checks.errors import InputError, unknown_name

FORMS = (".yaml", ".py")  # of an experiment's file


def examples_folder() -> Path:
    """The folder of the examples: in the installed package, or beside it in a source tree."""
    package = Path(str(files("rllib_ptm")))
    installed = package / "tuned_examples"
    return installed if installed.is_dir() else package.parent / "tuned_examples"


def examples() -> dict[str, Path]:
    """The example files by name, without their extension."""
    return {
        path.stem: path
        for path in sorted(examples_folder().iterdir())
        if path.suffix in FORMS and not path.name.startswith("_")
    }


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
    """An example's own description: the comment, or Python's docstring, in its first line."""
    with path.open(encoding="utf-8") as file:
        return file.readline().strip().strip('#"').strip()


def find_experiment_file(path: Path) -> Path:
    """The file at that path, or else the installed example of that name.

    Args:
        path: A path, or for an example its name with its ending, with or without the folder
            ``tuned_examples``.

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
    found = known.get(path.stem) if path.parent.name in ("", "tuned_examples") else None
    if found is not None and found.name == path.name:
        return found
    if is_folder:
        raise InputError(f"{path}: expected a file, found a folder")
    beside = [
        str(other)
        for other in (path.parent.iterdir() if path.parent.is_dir() else ())
        if other.suffix in FORMS
    ]
    shipped = [f"tuned_examples/{example.name}" for example in known.values()]
    nearest = difflib.get_close_matches(str(path), [*beside, *shipped], n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise InputError(f"{path}: there is no such file{hint} (examples: {', '.join(shipped)})")
