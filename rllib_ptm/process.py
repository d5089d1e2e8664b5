"""Keeps new arrays cheap.

An update makes and frees some gigabytes of arrays. By default the C library gives large ones back
to the system and asks for them again, page by page: a quarter of the CPU time of an update of 32
episodes at 11 against 11 went into that. And where a seed is set, RLlib lets torch use
deterministic algorithms only, and torch then fills every new array, so that one shows that was
read before it was written: 5 to 13 % of the time of an update.
"""

from __future__ import annotations

import ctypes
import platform

import torch

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Freed memory stays with this process, for its next arrays; elsewhere than on glibc: nothing.

    A process then holds as much as it once needed at a time.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_TRIM_THRESHOLD, _NEVER)
        libc.mallopt(_MMAP_MAX, 0)


def leave_new_arrays_unfilled() -> None:
    """New arrays hold whatever was there, also where deterministic algorithms are asked for."""
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
