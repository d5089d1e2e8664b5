"""Spreads PettingZoo environments over processes of this machine, for environments with slow steps.

Each worker has some of the N places and steps them as ``PettingZooTeams`` does, with the same
episodes. Actions and records are in shared memory; commands go through a connection. A worker that
dies or does not answer in time is killed. Its places are reported as failed. The next
reset starts another worker.

Workers are started as new programs, not forked: JAX, torch and Ray run threads, which a fork loses.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

import cloudpickle
import numpy as np

from rllib_ptm.environment.contract import IntArray, Record, Step
from rllib_ptm.environment.env_worker import (
    ACTIONS,
    DONE,
    GRACE_S,
    RECORD,
    RESULTS,
    Answer,
    Job,
    SharedArrays,
)
from rllib_ptm.environment.pettingzoo_spec import SEEDS, Description
from rllib_ptm.environment.pettingzoo_states import join_states, split_state
from rllib_ptm.environment.pettingzoo_teams import log_failure

START_S = 60.0  # for imports, before the time limit of a step begins to count


class WorkerError(RuntimeError):
    """A worker has died or does not answer."""


class _Worker:
    """The process of some places.

    Args:
        job: What it plays.
        memory_file: The file descriptor of the shared memory.
    """

    def __init__(self, job: Job, memory_file: int) -> None:
        self.first, self.end = job.first, job.end
        self.num_restarts = 0
        self.connection, theirs = Pipe()
        program = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            "from rllib_ptm.environment.env_worker import serve; "
            f"serve({theirs.fileno()}, {memory_file})"
        )
        with theirs:
            # A session of its own: a Ctrl-C in the terminal does not reach it, and what it starts
            # can be ended with it. Its input tells it that this process lives.
            self.process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                pass_fds=(theirs.fileno(), memory_file),
                start_new_session=True,
            )
        self.send("start", cloudpickle.dumps(job))

    def send(self, command: str, *args: Any) -> None:
        """Sends a command; a worker that is dead shows when its answer is read."""
        with contextlib.suppress(OSError):
            self.connection.send_bytes(cloudpickle.dumps((command, *args)))

    def read(self) -> Answer | None:
        """Reads an answer; None = the command is done, and there is nothing to tell.

        Raises:
            WorkerError: The worker is dead.
        """
        try:
            data = self.connection.recv_bytes()
        except (EOFError, OSError):
            code = self.process.wait()
            reason = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise WorkerError(f"its process has died ({reason})") from None
        return None if data == DONE else cloudpickle.loads(data)

    def kill(self) -> None:
        """Ends the process, and those that it has started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.connection.close()
        assert self.process.stdin is not None
        self.process.stdin.close()


class ProcessTeams:
    """N ``ParallelEnv`` in several processes; see ``contract.Teams``.

    Args:
        name: The environment's name, for messages.
        make_env: Makes an environment; it travels by cloudpickle.
        num_envs: N.
        description: What the environment says of itself.
        processes: The number of processes; no more than N are started.
        timeout_s: The time limit of a step or a reset, in seconds.

    Raises:
        InputError: An environment cannot be made.
        WorkerError: A process does not start.
    """

    def __init__(
        self,
        name: str,
        make_env: Callable[[], Any],
        num_envs: int,
        description: Description,
        processes: int,
        timeout_s: float,
    ) -> None:
        self.num_envs = num_envs
        self.last_error: Exception | None = None
        self._name = name
        self._timeout_s = timeout_s
        self._shared = SharedArrays(description, num_envs)
        self._failed = np.zeros(num_envs, bool)  # not yet reported by a step
        self._playing = np.zeros(num_envs, bool)
        self._tasks = [""] * num_envs
        self._seeds = [0] * num_envs
        self._num_steps = np.zeros(num_envs, np.int64)
        self._restarts_of_dead = 0
        level = logging.getLogger("rllib_ptm").getEffectiveLevel()
        bounds = np.linspace(0, num_envs, min(processes, num_envs) + 1).astype(int).tolist()
        self._jobs = [
            Job(name, make_env, description, num_envs, first, end, level)
            for first, end in itertools.pairwise(bounds)
        ]
        self._workers: list[_Worker | None] = [None] * len(self._jobs)
        # Also runs without ``close``: at garbage collection and at exit.
        self._end = weakref.finalize(self, _end_all, self._workers, self._shared.file)
        for error in self._start(range(len(self._jobs))).values():
            self._end()
            raise error
        self._record = self._read_record()

    @property
    def num_restarts(self) -> int:
        """How often an environment failed, alone or with its process, and was replaced."""
        workers = (worker for worker in self._workers if worker is not None)
        return self._restarts_of_dead + sum(worker.num_restarts for worker in workers)

    def reset(self, which: IntArray, tasks: Sequence[str], seeds: Sequence[int]) -> Record:
        """Starts new episodes in some places; see ``PettingZooTeams.reset``."""
        places: dict[int, list[tuple[int, str, int]]] = {}
        for env, task, seed in zip(which.tolist(), tasks, seeds, strict=True):
            self._tasks[env], self._seeds[env] = task, int(seed) % SEEDS
            self._num_steps[env] = 0
            self._playing[env], self._failed[env] = True, False
            index = next(i for i, job in enumerate(self._jobs) if env < job.end)
            places.setdefault(index, []).append((env - self._jobs[index].first, task, seed))
        lost = self._start([index for index in places if self._workers[index] is None])
        commands = {}
        for index in places.keys() - lost.keys():
            envs, names, numbers = zip(*places[index], strict=True)
            commands[index] = ("reset", np.array(envs), names, numbers)
        lost |= self._call(commands)[1]
        self._record = self._read_record(lost)
        return self._record

    def step(self, actions: IntArray) -> Step:
        """Makes one step of every episode; see ``PettingZooTeams.step``."""
        self._shared.arrays[ACTIONS][...] = actions
        self._num_steps += self._playing
        running = [index for index, worker in enumerate(self._workers) if worker is not None]
        _, lost = self._call(dict.fromkeys(running, ("step",)))
        results = {name: self._shared.arrays[name].copy() for name in RESULTS}
        for index, job in enumerate(self._jobs):
            if index in lost or index not in running:
                for array in results.values():
                    array[job.first : job.end] = 0
        results["failed"] |= self._failed
        self._failed = np.zeros(self.num_envs, bool)
        self._playing &= ~(results["failed"] | results["terminated"] | results["truncated"])
        self._record = self._read_record(lost)
        return Step(record=self._record, **results)

    def close(self) -> None:
        """Closes the environments and ends their processes."""
        self._end()

    def _read_record(self, lost: Iterable[int] = ()) -> Record:
        """A copy of the record; the places of workers that were lost have their last one."""
        record = {name: self._shared.arrays[name].copy() for name in RECORD}
        for index in lost:
            job = self._jobs[index]
            for name, array in record.items():
                array[job.first : job.end] = self._record[name][job.first : job.end]
        return record

    def _start(self, indices: Iterable[int]) -> dict[int, Exception]:
        """Starts workers, all at the same time.

        Returns:
            The errors of those that do not start.
        """
        started = list(indices)
        for index in started:
            self._workers[index] = _Worker(self._jobs[index], self._shared.file)
        answers, lost = self._collect(started, START_S + self._timeout_s)
        for index, answer in answers.items():
            if answer is not None and answer.error is not None:
                self._lose(index, answer.error)
                lost[index] = answer.error
        return lost

    def _call(self, commands: Mapping[int, tuple]) -> tuple[dict[int, Any], dict[int, Exception]]:
        """Sends each of some workers a command, and waits for all answers.

        Returns:
            The results, and the errors of workers that are lost.

        Raises:
            Exception: What a worker raised.
        """
        for index, command in commands.items():
            self._running(index).send(*command)
        answers, lost = self._collect(commands, self._timeout_s)
        for answer in answers.values():
            if answer is not None and answer.error is not None:
                raise answer.error
        return {i: None if a is None else a.result for i, a in answers.items()}, lost

    def _collect(
        self, indices: Iterable[int], timeout_s: float
    ) -> tuple[dict[int, Answer | None], dict[int, Exception]]:
        """Reads an answer of each of some workers; those that do not answer in time are killed."""
        deadline = time.monotonic() + timeout_s
        answers: dict[int, Answer | None] = {}
        lost: dict[int, Exception] = {}
        waiting: dict[Any, int] = {self._running(index).connection: index for index in indices}
        while waiting:
            ready = wait(list(waiting), max(deadline - time.monotonic(), 0))
            if not ready:
                late = WorkerError(
                    f"its process does not answer within {timeout_s:g} s; see config.env_timeout_s"
                )
                lost |= dict.fromkeys(waiting.values(), late)
                break
            for connection in ready:
                index = waiting.pop(connection)
                try:
                    answers[index] = self._read(self._running(index))
                except WorkerError as error:
                    lost[index] = error
        for index, reason in lost.items():
            self._lose(index, reason)
        return answers, lost

    def _read(self, worker: _Worker) -> Answer | None:
        """Reads the answer of a worker, and notes what it tells of failures."""
        answer = worker.read()
        if answer is not None:
            for line in answer.log:
                logging.getLogger(line.logger).log(line.level, "%s", line.text)
            worker.num_restarts = answer.num_restarts
            self.last_error = answer.last_error or self.last_error
        return answer

    def _lose(self, index: int, error: Exception) -> None:
        """Kills a worker, and fails the episodes of its places."""
        worker = self._running(index)
        worker.kill()
        self._workers[index] = None
        self.last_error = error
        self._restarts_of_dead += worker.num_restarts
        job = self._jobs[index]
        for env in range(job.first, job.end):
            if self._playing[env]:
                steps = int(self._num_steps[env])
                log_failure(self._name, self._tasks[env], steps, self._seeds[env], error)
                self._restarts_of_dead += 1
                self._playing[env] = False
                self._failed[env] = True

    def _running(self, index: int) -> _Worker:
        worker = self._workers[index]
        assert worker is not None
        return worker


class ResumableProcessTeams(ProcessTeams):
    """``ProcessTeams`` whose environments can save an episode; see ``contract.Resumable``."""

    def get_state(self) -> dict[str, np.ndarray]:
        """As ``ResumablePettingZooTeams.get_state``, so either can restore it.

        Raises:
            WorkerError: A process does not answer.
        """
        states = self._call_all(dict.fromkeys(range(len(self._jobs)), ("get_state",)))
        state = join_states([states[index] for index in range(len(self._jobs))])
        state["failed"] |= self._failed
        return state

    def set_state(self, state: Mapping[str, np.ndarray]) -> Record:
        """Restores what ``get_state`` returned; see ``Resumable.set_state``.

        Raises:
            WorkerError: A process does not answer.
        """
        shares = [split_state(state, job.first, job.end) for job in self._jobs]
        self._call_all({index: ("set_state", share) for index, share in enumerate(shares)})
        self._tasks, self._seeds = state["tasks"].tolist(), state["seeds"].tolist()
        self._num_steps[:], self._playing[:] = state["num_steps"], state["playing"]
        self._failed[:] = False  # the workers report it
        self._record = self._read_record()
        return self._record

    def _call_all(self, commands: Mapping[int, tuple]) -> dict[int, Any]:
        """``_call`` for all workers; those that were lost are started first.

        Raises:
            WorkerError: A worker is lost.
        """
        lost = self._start([i for i, worker in enumerate(self._workers) if worker is None])
        results: dict[int, Any] = {}
        if not lost:
            results, lost = self._call(commands)
        for error in lost.values():
            raise error
        return results


def _end_all(workers: list[_Worker | None], memory_file: int) -> None:
    """Ends all workers; those that do not end by themselves are killed."""
    running = [worker for worker in workers if worker is not None]
    for worker in running:
        worker.connection.close()
    deadline = time.monotonic() + GRACE_S
    for worker in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(max(deadline - time.monotonic(), 0))
        worker.kill()
    workers[:] = [None] * len(workers)
    os.close(memory_file)
