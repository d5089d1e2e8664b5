"""Batches that a thread makes while the learner works."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

import pytest

from rllib_ptm.replay.prepared import prepared


def counter() -> tuple[Callable[[], int], list[int]]:
    """A function that returns 0, 1, 2, ..., and the list of what it has returned."""
    numbers, made = count(), list[int]()

    def make() -> int:
        made.append(next(numbers))
        return made[-1]

    return make, made


def test_the_batches_come_in_the_order_in_which_they_are_made() -> None:
    make, made = counter()
    assert list(prepared(make, 5)) == [0, 1, 2, 3, 4] == made


def test_no_batch_is_made_that_nobody_wants() -> None:
    make, made = counter()
    assert list(prepared(make, 0)) == []
    assert made == []


def test_the_next_one_is_made_while_the_caller_has_one() -> None:
    second = threading.Event()
    make, made = counter()

    def noted() -> int:
        number = make()
        if number == 1:
            second.set()
        return number

    batches = prepared(noted, 3)
    assert next(batches) == 0
    assert second.wait(timeout=30)  # without a further call
    batches.close()
    assert made == [0, 1]  # one ahead, not more


def test_an_error_comes_in_its_turn() -> None:
    make, _ = counter()

    def failing() -> int:
        if make() == 1:
            raise ValueError("the second one")
        return 0

    batches = prepared(failing, 3)
    assert next(batches) == 0
    with pytest.raises(ValueError, match="the second one"):
        next(batches)


def test_no_thread_outlives_a_caller_that_stops_early() -> None:
    before = threading.active_count()
    make, _ = counter()
    batches = prepared(make, 3)
    next(batches)
    batches.close()
    assert threading.active_count() == before
