"""An event loop in a thread of its own, for synchronous callers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from typing import Any


class EventLoop:
    """Runs coroutines concurrently.

    It has its own thread, because the caller's thread may already run an event loop, for example in
    a notebook, and event loops cannot be nested.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="sc2-battles", daemon=True
        )
        self._thread.start()

    def run_all(self, coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Runs all coroutines until they end, then raises the first exception.

        A KeyboardInterrupt cancels those that still run.
        """
        future = asyncio.run_coroutine_threadsafe(_all(list(coroutines)), self._loop)
        try:
            future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        """Stops the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _all(coroutines: list[Coroutine[Any, Any, None]]) -> None:
    for result in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
