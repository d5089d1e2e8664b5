"""The exit codes of the command, and the signals that lead to some of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

EXIT_FAILED = 1
EXIT_INPUT_ERROR = 2
_SIGNAL = 128  # plus the signal's number, as shells count


def exit_code_of(number: int) -> int:
    """The exit code after a signal, such as 130 after SIGINT, which Ctrl-C sends."""
    return _SIGNAL + number


EXIT_INTERRUPTED = exit_code_of(signal.SIGINT)
EXIT_TERMINATED = exit_code_of(signal.SIGTERM)


class Terminated(SystemExit):
    """SIGTERM has come: the command ends, and what it started ends with it."""

    def __init__(self) -> None:
        super().__init__(EXIT_TERMINATED)


def handle_signal(number: int, handler: Any) -> None:
    """Sets a handler. Outside of the main thread, where Python allows none, it does nothing."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, handler)


@contextmanager
def sigterm_as_exception() -> Iterator[None]:
    """Within the block, SIGTERM raises ``Terminated``, so that what was started is ended."""
    before = signal.getsignal(signal.SIGTERM)
    handle_signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        handle_signal(signal.SIGTERM, before)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated
