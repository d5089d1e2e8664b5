"""An event loop in a thread of its own, for callers that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from typing import Any


class EventLoop:
    """Runs coroutines side by side.

    In a thread of its own because the caller's may have a running loop already, in a notebook for
    example, and loops do not nest.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="sc2-battles", daemon=True
        )
        self._thread.start()

    def run_all(self, coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Runs all to their ends, then raises the first exception, if there was one.

        A KeyboardInterrupt cancels what still runs.
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
