"""Refuses to play or to learn in a forked child of a process that does so too.

JAX, torch and Ray run threads. A fork copies their locks but not the threads, so the child waits
without end at its first call.
"""

from __future__ import annotations

import os

from .errors import InputError


class ForkError(InputError):
    """This process was forked from one that uses JAX, torch or Ray."""


_users: list[int] = []  # the process that uses them; a forked child inherits it


def refuse_forked_child() -> None:
    """Notes that this process uses JAX, torch or Ray. Each way into them calls it first.

    Raises:
        ForkError: The process that this one was forked from uses them.
    """
    if not _users:
        _users.append(os.getpid())
    elif _users[0] != os.getpid():
        raise ForkError(
            f"process {os.getpid()} was forked from process {_users[0]}, which uses JAX, torch or "
            f"Ray: they do not survive a fork, and would wait for ever; start it with "
            f"multiprocessing.get_context('spawn') instead"
        )
