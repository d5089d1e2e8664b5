"""A process that steps some of the environments of ``process_teams``.

It gets commands through a connection, one at a time, and answers each. Actions, records and what a
step leads to are in memory that it shares with the process that started it. It ends when that
process ends or closes the connection.

Shape legend: ``N`` environments of all workers together, ``A`` agents, ``E`` entities, ``D``
features, ``U`` actions.
"""

from __future__ import annotations

import logging
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cloudpickle
import numpy as np

from rllib_ptm.environment.contract import PRESENT, IntArray, Record
from rllib_ptm.environment.pettingzoo_spec import ACTION_MASK, ENTITIES, VISIBLE, Description
from rllib_ptm.environment.pettingzoo_states import ResumablePettingZooTeams

RECORD = (ENTITIES, VISIBLE, ACTION_MASK, PRESENT)
RESULTS = ("reward", "terminated", "truncated", "success", "failed")  # the other fields of a Step
ACTIONS = "actions"
DONE = b""  # the answer that says nothing: the command is done
GRACE_S = 5.0  # time to close the environments once the connection is closed

_ALIGNMENT = 64  # bytes, a cache line


class Job(NamedTuple):
    """What a worker plays.

    Attributes:
        name: The environment's name.
        make_env: Makes an environment.
        description: What the environment says of itself.
        num_envs: N.
        first: The first of the worker's places.
        end: The place after its last.
        log_level: Of the messages that the starting process wants.
    """

    name: str
    make_env: Callable[[], Any]
    description: Description
    num_envs: int
    first: int
    end: int
    log_level: int


class LogLine(NamedTuple):
    """A message for the log of the process that started the worker."""

    logger: str
    level: int
    text: str


class Answer(NamedTuple):
    """What a worker answers to a command.

    Attributes:
        result: What the command returns.
        error: What it raised.
        log: The messages since the last answer.
        num_restarts: See ``Teams``; of this worker's environments.
        last_error: See ``Teams``.
    """

    result: Any
    error: Exception | None
    log: tuple[LogLine, ...]
    num_restarts: int
    last_error: Exception | None


class SharedArrays:
    """Arrays [N, ...] by name in memory that several processes share.

    Args:
        description: What the environment says of itself.
        num_envs: N.
        file: The file descriptor of the memory; None = new memory.
    """

    def __init__(self, description: Description, num_envs: int, file: int | None = None) -> None:
        spec = description.spec
        layout: dict[str, tuple[tuple[int, ...], Any]] = {
            ACTIONS: ((spec.agents,), np.int64),
            ENTITIES: ((spec.entities, spec.features), description.dtype),
            VISIBLE: ((spec.agents, -(-spec.entities // 8)), np.uint8),
            ACTION_MASK: ((spec.agents, -(-spec.actions // 8)), np.uint8),
            PRESENT: ((spec.entities,), bool),
            "reward": ((), np.float32),
            "success": ((), np.float32),
            "terminated": ((), bool),
            "truncated": ((), bool),
            "failed": ((), bool),
        }
        offsets, size = {}, 0
        for name, (shape, dtype) in layout.items():
            offsets[name] = size
            length = num_envs * int(np.prod(shape)) * np.dtype(dtype).itemsize
            size += -(-length // _ALIGNMENT) * _ALIGNMENT
        if file is None:
            # Memory without a name: it is gone when the last process that has it ends.
            file = os.memfd_create("rllib_ptm_environments")
            os.ftruncate(file, size)
        self.file = file
        memory = mmap.mmap(file, size)
        self.arrays = {
            name: np.ndarray((num_envs, *shape), dtype, memory, offsets[name])
            for name, (shape, dtype) in layout.items()
        }


class _Worker:
    """The environments of one worker, and the commands on them."""

    def __init__(self, job: Job, memory_file: int) -> None:
        self._teams = ResumablePettingZooTeams(
            job.name, job.make_env, job.end - job.first, job.description
        )
        shared = SharedArrays(job.description, job.num_envs, memory_file)
        self._arrays = {name: a[job.first : job.end] for name, a in shared.arrays.items()}

    @property
    def num_restarts(self) -> int:
        return self._teams.num_restarts

    @property
    def last_error(self) -> Exception | None:
        return self._teams.last_error

    def reset(self, which: IntArray, tasks: Sequence[str], seeds: Sequence[int]) -> None:
        self._write(self._teams.reset(which, tasks, seeds))

    def step(self) -> None:
        step = self._teams.step(self._arrays[ACTIONS])
        self._write(step.record)
        for name in RESULTS:
            self._arrays[name][...] = getattr(step, name)

    def get_state(self) -> dict[str, np.ndarray]:
        return self._teams.get_state()

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        self._write(self._teams.set_state(state))

    def close(self) -> None:
        self._teams.close()

    def _write(self, record: Record) -> None:
        for name in RECORD:
            self._arrays[name][...] = record[name]


class _Collector(logging.Handler):
    """Keeps messages until they are sent."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[LogLine] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(LogLine(record.name, record.levelno, self.format(record)))

    def take(self) -> tuple[LogLine, ...]:
        """The messages since the last call."""
        lines, self._lines = tuple(self._lines), []
        return lines


def serve(connection_file: int, memory_file: int) -> None:
    """Answers commands until the connection is closed. The first is the pickled ``Job``.

    Args:
        connection_file: The file descriptor of the connection.
        memory_file: That of the shared memory.
    """
    threading.Thread(target=_end_with_parent, args=(os.dup(0),), daemon=True).start()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # the environments do not read what tells that the parent lives
    collector = _Collector()
    logger = logging.getLogger(__name__).parent
    assert logger is not None
    logger.addHandler(collector)
    logger.propagate = False
    worker: _Worker | None = None
    told_restarts = 0
    with Connection(connection_file) as connection:
        while True:
            try:
                command, *args = cloudpickle.loads(connection.recv_bytes())
            except (EOFError, OSError):
                break
            result, error = None, None
            try:
                if worker is None:
                    job = cloudpickle.loads(*args)
                    logger.setLevel(job.log_level)
                    worker = _Worker(job, memory_file)
                else:
                    result = getattr(worker, command)(*args)
            except Exception as raised:
                error = raised
            restarts, last = (worker.num_restarts, worker.last_error) if worker else (0, None)
            log, data = collector.take(), DONE
            if result is not None or error or log or restarts != told_restarts:
                told_restarts = restarts
                answer = Answer(result, _sendable(error), log, restarts, _sendable(last))
                data = cloudpickle.dumps(answer)
            try:
                connection.send_bytes(data)
            except OSError:
                break
    if worker is not None:
        worker.close()


def _sendable(error: Exception | None) -> Exception | None:
    """An error that arrives as it is; what cannot be pickled keeps its type's name and message."""
    if error is None:
        return None
    try:
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        plain.__notes__ = list(getattr(error, "__notes__", ()))
        return plain
    return error


def _end_with_parent(life_line: int) -> None:
    """Ends this process and those that it has started, soon after its parent has ended.

    Also if an environment hangs at that time.
    """
    while os.read(life_line, 1):
        pass
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)
