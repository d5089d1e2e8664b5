"""Whether a command of a page can be typed: the program, its options, its files."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import typer
from page_blocks import ROOT
from typer.exceptions import TyperException

from rllib_ptm.cli.main import app
from rllib_ptm.cli.read.examples import examples

# Programs whose words are not checked.
_OTHERS = {
    *("apt", "cat", "cd", "cp", "docker", "echo", "export", "git", "ls", "mkdir", "nvidia-smi"),
    *("ray", "source", "tensorboard", "unzip", "wandb", "mlflow", "jupyter", "ruff", "mypy"),
}
_SEPARATORS = {"|", "&&", ";", "||", "&"}


def check_command(command: str, folder: Path) -> None:
    """Checks a line of a console block.

    Args:
        command: What follows ``$``.
        folder: Where the page's files are.

    Raises:
        AssertionError: The program is not known, or a word after it is wrong.
    """
    lexer = shlex.shlex(command, posix=True, punctuation_chars=";&|>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _SEPARATORS:
            words.append(word)
        elif words:
            _check_words(words, folder)
            words = []


def _check_words(words: Sequence[str], folder: Path) -> None:
    if ">" in words:
        words = words[: words.index(">")]
    while words and re.match(r"\w+=", words[0]):
        words = words[1:]
    if words:
        program = words[0].rpartition("/")[2]
        if program in _CHECKS:
            _CHECKS[program](words[1:], folder)
        else:
            assert program in _OTHERS, f"{program}: add it to the programs of command_check.py"


def _check_rllib(words: Sequence[str], folder: Path) -> None:
    command, name, rest = typer.main.get_command(app), "rllib", list(words)
    context = None
    try:
        while True:
            context = command.make_context(name, rest, parent=context)
            rest = [*context._protected_args, *context.args]
            if not hasattr(command, "resolve_command") or not rest:
                break
            name, command, rest = command.resolve_command(context, rest)
    except TyperException as error:
        raise AssertionError(error.format_message()) from None
    except typer.Exit:  # --help
        return
    if words[:2] == ["train", "file"]:
        assert words[2] in examples() or _exists(words[2], folder), f"no file {words[2]}"


def _check_make(words: Sequence[str], folder: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for word in words:
        assert "=" in word or word in targets, f"make has no target {word}"


def _check_pip(words: Sequence[str], folder: Path) -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    for word in words:
        for extra in re.findall(r"(?:^\.|rllib-ptm)\[(.*?)\]", word):
            unknown = set(extra.split(",")) - set(config["options.extras_require"])
            assert not unknown, f"setup.cfg has no extra {unknown}"


def _check_python(words: Sequence[str], folder: Path) -> None:
    if words[0].endswith(".py"):
        assert _exists(words[0], folder), f"no file {words[0]}"


def _check_pytest(words: Sequence[str], folder: Path) -> None:
    for word in words:
        if "/" in word:
            assert _exists(word.partition("::")[0], folder), f"no file {word}"


def _exists(path: str, folder: Path) -> bool:
    return (ROOT / path).exists() or (folder / path).exists()


_CHECKS: dict[str, Callable[[Sequence[str], Path], None]] = {
    "rllib": _check_rllib,
    "make": _check_make,
    "pip": _check_pip,
    "python": _check_python,
    "python3": _check_python,
    "pytest": _check_pytest,
}
