"""Prints the messages of errors, whatever a user wrote and whatever the terminal can show."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TextIO, cast

from rich.console import Console

_MOST_LINES = 50
_LONGEST_LINE = 4_000
_MOST_NAMED = 16
_READABLE = "rllib_readable"  # the name of a handler of encoding errors
_IN_ASCII = {"…": ".", "α": "a", "ε": "e", "λ": "lambda"}  # in a framed table as wide as before


def print_errors(messages: Iterable[str]) -> None:
    """Prints each message as one line to stderr; the exit code remains where that is full."""
    lines = [" ".join(message.split()) for message in messages]
    with contextlib.suppress(OSError):
        for line in lines[:_MOST_LINES]:
            print(f"rllib: {_printable(_shortened(line))}", file=sys.stderr)
        if len(lines) > _MOST_LINES:
            print(f"rllib: and {len(lines) - _MOST_LINES} more like these", file=sys.stderr)


class OutputLostError(OSError):
    """Stdout cannot be written to, for example because it is a file on a full disk."""

    def __str__(self) -> str:
        return f"the output cannot be written: {self.strerror}"


class _Output:
    """Stdout, whose errors differ from those of other files."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _as_lost_output():
            return int(self._stream.write(text))

    def flush(self) -> None:
        with _as_lost_output():
            self._stream.flush()


@contextlib.contextmanager
def _as_lost_output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputLostError(error.errno, error.strerror) from error


@contextlib.contextmanager
def watched_output() -> Iterator[None]:
    """A context in which stdout raises ``OutputLostError``, at the latest at its end."""
    stream = sys.stdout
    if stream is None:  # a shell can close it
        yield
        return
    sys.stdout = output = cast("TextIO", _Output(stream))
    try:
        yield
        output.flush()
    except OutputLostError:
        with open(os.devnull, "w") as nothing:  # Python flushes again at its exit
            os.dup2(nothing.fileno(), stream.fileno())
        raise
    finally:
        if sys.stdout is output:
            sys.stdout = stream


def working(console: Console, text: str) -> AbstractContextManager[object]:
    """Shows a text and that something is being done, in characters that the terminal has."""
    return console.status(text, spinner="line" if console.options.ascii_only else "dots")


def never_fail_to_encode() -> None:
    """Prints something that can be read for each letter that the terminal does not know."""
    codecs.register_error(_READABLE, _readable)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not if a test or a notebook has replaced it
            stream.reconfigure(errors=_READABLE)


def _readable(error: UnicodeError) -> tuple[str, int]:
    """As ``backslashreplace``, but for the signs that the tables use."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(c, ascii(c)[1:-1]) for c in unknown), error.end


def _shortened(line: str) -> str:
    """Its place stands at the beginning, the nearest match and the legal values at the end."""
    half = _LONGEST_LINE // 2
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


def _printable(line: str) -> str:
    """A control character could change what the terminal shows."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def some_of(names: Sequence[str]) -> str:
    """Names for a line: all, or the first of many and the number of the others."""
    others = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {others} others" if others > 0 else "")
