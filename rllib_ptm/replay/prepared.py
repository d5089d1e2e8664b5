"""Prepares a batch in a thread while the learner takes the gradient step before."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")


def prepared(make: Callable[[], Batch], number: int) -> Generator[Batch, None, None]:
    """Yields ``number`` batches. A thread makes each while the caller works with the one before.

    One thread makes all of them, in order. So random draws are those of a loop that calls ``make``.
    An error in ``make`` is raised here, in its turn.

    Args:
        make: Makes a batch. It must not change what the caller works with.
        number: How many batches.
    """
    if not number:
        return
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as thread:
        following = thread.submit(make)
        for _ in range(number - 1):
            batch = following.result()
            following = thread.submit(make)
            yield batch
        yield following.result()
