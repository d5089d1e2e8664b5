"""Keeps what a training logs to wandb, with the time, as a CSV file. Python's own library only.

JaxMARL's scripts log after each update with ``wandb.log``. ``wandb_stub`` is a module of that name
whose ``log`` is a recorder's. A Q-learner logs the latest test with every update, so the recorder
keeps only the updates that end with a test.
"""

from __future__ import annotations

import csv
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from baseline_run import SAMPLED, BaselineRun

COLUMNS = (
    *("algorithm", "scenario", "seed", "num_envs", "env_steps", "seconds", "processor_seconds"),
    *("test_seconds", "compile_seconds", "compile_processor_seconds", "win_rate", "metric"),
)


class Clocks(NamedTuple):
    """A point in time, or a span of it, in seconds on the clock and of all processors together."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Clocks:
        """The time of this process."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: Clocks) -> Clocks:
        """The span from an earlier point in time."""
        return Clocks(self.wall - start.wall, self.processor - start.processor)

    def plus(self, span: Clocks) -> Clocks:
        """The sum of two spans."""
        return Clocks(self.wall + span.wall, self.processor + span.processor)


class RunRecorder:
    """Writes a row per report of a training.

    The file has the ending ``.part`` until the run is finished. So a CSV file is always whole.

    Args:
        run: The run.
        file: Its CSV file.
        clocks: Tells the time.
        leave: Called when the run's seconds are over. JAX would not stop for an exception in a
            callback, so this ends the process.
    """

    def __init__(
        self,
        run: BaselineRun,
        file: Path,
        clocks: Callable[[], Clocks] = Clocks.now,
        leave: Callable[[int], Any] = os._exit,
    ) -> None:
        self._run = run
        self._file, self._part = file, file.with_name(f"{file.name}.part")
        self._clocks, self._leave = clocks, leave
        self._compiling = self._training = self._tests = self._last = Clocks(0.0, 0.0)
        self._spans: list[Clocks] = []  # of the updates since the last report
        self._reports, self._test_every = 0, 1

    def start(self, compiling: Clocks, test_every: int) -> None:
        """Starts the clock.

        Args:
            compiling: How long the program took to compile.
            test_every: Updates from one greedy test to the next; 1 = each update has a report.
        """
        self._compiling, self._test_every = compiling, test_every
        with self._part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(COLUMNS)
        self._last = self._clocks()

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Stands for ``wandb.log``: once per update, in order."""
        now = self._clocks()
        self._spans.append(now.since(self._last))
        self._last = now
        if len(self._spans) == self._test_every:
            self._report(metrics)

    def finish(self) -> None:
        """Gives the file its name: the run is finished."""
        self._part.replace(self._file)

    def _report(self, metrics: Mapping[str, Any]) -> None:
        before = self._training
        self._add_time()
        # Sampled battles were played before the update that ends with their report.
        seconds = before if self._run.baseline.metric == SAMPLED else self._training
        self._write(int(metrics["env_step"]), seconds, float(metrics[self._run.baseline.win_rate]))
        if self._run.seconds is not None and self._training.wall >= self._run.seconds:
            self.finish()
            self._leave(0)

    def _add_time(self) -> None:
        """Adds the updates since the last report to the time of training, and to that of tests."""
        first = 0 if self._reports else 1  # a test of the untrained policy is in the first update
        clocks = list(zip(*self._spans, strict=True))
        spent = Clocks(*(without_tests(spans, first) for spans in clocks))
        self._training = self._training.plus(spent)
        self._tests = self._tests.plus(Clocks(*map(sum, clocks)).since(spent))
        self._reports += 1
        self._spans.clear()

    def _write(self, env_steps: int, seconds: Clocks, win_rate: float) -> None:
        run = self._run
        times = (*seconds, self._tests.wall, *self._compiling)
        with self._part.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(
                (
                    *(run.algorithm, run.scenario, run.seed, run.num_envs, env_steps),
                    *(f"{time:.2f}" for time in times),
                    *(f"{win_rate:.4f}", run.baseline.metric),
                )
            )
        print(
            f"{run.algorithm} on {run.scenario}, seed {run.seed}, {run.num_envs} envs: "
            f"{env_steps:,} env steps, {seconds.wall:.0f} s: win rate {win_rate:.2f}",
            flush=True,
        )


def without_tests(spans: Sequence[float], first: int = 0) -> float:
    """The time of some updates, less the tests in them.

    A test is part of the program, so its own time is not known. An update with a test counts as
    the median of those without; where there are none, the tests count.

    Args:
        spans: Seconds of each update. The last one has a test.
        first: So many at the start have a test, too.
    """
    plain = spans[first:-1]
    if not plain:
        return sum(spans)
    usual = statistics.median(plain)
    return sum(plain) + sum(min(span, usual) for span in (*spans[:first], spans[-1]))


def wandb_stub(recorder: RunRecorder) -> ModuleType:
    """A module for ``import wandb`` that sends nothing anywhere."""
    module = ModuleType("wandb", "A stand-in: what is logged goes to a CSV file.")
    vars(module).update(log=recorder.log)
    return module
