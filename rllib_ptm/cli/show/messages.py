"""Prints the messages of errors, whatever a user wrote and whatever the terminal can show."""

from __future__ import annotations

import sys
from collections.abc import Iterable

_MOST_LINES = 50
_LONGEST_LINE = 4_000


def print_errors(messages: Iterable[str]) -> None:
    """Prints each message as one line to stderr."""
    lines = [" ".join(message.split()) for message in messages]
    for line in lines[:_MOST_LINES]:
        print(f"rllib: {_printable(_shortened(line))}", file=sys.stderr)
    if len(lines) > _MOST_LINES:
        print(f"rllib: and {len(lines) - _MOST_LINES} more like these", file=sys.stderr)


def never_fail_to_encode() -> None:
    r"""Prints ``\\u00e9`` for é where the terminal does not know é, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not if a test or a notebook has replaced it
            stream.reconfigure(errors="backslashreplace")


def _shortened(line: str) -> str:
    """Its place stands at the beginning, the nearest match and the legal values at the end."""
    half = _LONGEST_LINE // 2
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


def _printable(line: str) -> str:
    """A control character could change what the terminal shows."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
