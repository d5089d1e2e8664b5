"""Trains the runs that an experiment misses, by calls of ``rllib train file``.

Each call trains several runs of one entry. It continues an earlier call's folder if that trains
missing runs only; otherwise it begins a new folder with the missing seeds.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from planned_runs import PaperExperiment, PlannedRun, with_seeds
from trial_folders import RunFolder, run_folders

from rllib_ptm.cli.resume.run_lock import check_not_in_use

_SECONDS_BETWEEN_LOOKS = 20.0
_CORES = "num_cpus_for_main_process"  # the command sets it anew
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Call:
    """A call of ``rllib train file``.

    Attributes:
        entry: The name of the entry, which is also that of the YAML file.
        spec: The entry as the YAML file has it.
        resumed: The name of the run folder to continue; None = a new one.
        runs: The runs that it trains.
    """

    entry: str
    spec: Mapping[str, Any]
    resumed: str | None
    runs: tuple[PlannedRun, ...]

    def command(self, storage: Path, episodes: int) -> list[str]:
        """Writes the YAML file beside the results, and returns the command line."""
        storage.mkdir(parents=True, exist_ok=True)
        file = storage / f"{self.entry}.yaml"
        file.write_text(
            yaml.safe_dump({self.entry: self.spec}, sort_keys=False, allow_unicode=True)
        )
        command = [sys.executable, "-m", "rllib_ptm.cli.main", "train", "file", str(file)]
        command += ["--storage-path", str(storage), "--evaluation-episodes", str(episodes)]
        return command + (["--resume", "--run-folder", self.resumed] if self.resumed else [])


def next_call(
    experiment: PaperExperiment, missing: Sequence[PlannedRun], storage: Path, jobs: int
) -> Call:
    """The call that trains the first of the missing runs, and others of its entry.

    Args:
        experiment: The experiment.
        missing: Its runs that are not finished; at least one.
        storage: The results folder.
        jobs: How many runs train at once.

    Raises:
        InputError: Another process trains runs of the entry. It may be the training of a command
            that was killed.
    """
    entry = missing[0].entry
    of_entry = {run.key: run for run in missing if run.entry == entry}
    folders = run_folders(experiment, storage, entry)
    for folder in folders:
        check_not_in_use(folder.folder)
    for folder in folders:
        left = folder.left()
        if folder.can_go_on and left and left <= of_entry.keys():
            runs = tuple(run for key, run in of_entry.items() if key in left)
            return Call(
                entry, _spec(experiment, entry, _begun(folder), jobs), folder.folder.name, runs
            )
    config = experiment.entry(entry).config
    runs = tuple(of_entry.values())
    if any(run.entry == entry and run.key not in of_entry for run in experiment.runs):
        runs = tuple(run for run in runs if run.variant == runs[0].variant)
        config = with_seeds(config, runs[0], [run.seed for run in runs])
    return Call(entry, _spec(experiment, entry, config, jobs), None, runs)


def _begun(folder: RunFolder) -> Mapping[str, Any]:
    config = folder.record["config"]
    return {key: value for key, value in config.items() if key != _CORES}


def _spec(
    experiment: PaperExperiment, name: str, config: Mapping[str, Any], jobs: int
) -> dict[str, Any]:
    entry = experiment.entry(name)
    return {
        "run": entry.algorithm,
        "stop": dict(entry.stop),
        "max_concurrent_trials": jobs,
        "checkpoint_config": entry.checkpoint.model_dump(exclude_defaults=True),
        "config": dict(config),
    }


def run_command(command: Sequence[str], look: Callable[[], None]) -> int:
    """Runs a command that trains, and passes SIGINT and SIGTERM on to it.

    It has a process group of its own. So Ctrl-C reaches it once, through this process; a second
    signal would end it without a checkpoint.

    Args:
        command: The command line.
        look: Called every now and then while it runs, and after its end.

    Returns:
        Its exit code; 128 + N if signal N ended it.
    """
    with _Passed() as passed:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
        passed.to(child)
        code = None
        while code is None:
            try:
                code = child.wait(timeout=_SECONDS_BETWEEN_LOOKS)
            except subprocess.TimeoutExpired:
                look()
        look()
    return code if code >= 0 else 128 - code


class _Passed:
    """Within the block, signals go to a child process."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []  # before the child was there
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Passed:
        self._before = {number: signal.signal(number, self._pass) for number in _SIGNALS}
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def to(self, child: subprocess.Popen[bytes]) -> None:
        """Sets the child."""
        self._child = child
        for number in self._early:
            child.send_signal(number)

    def _pass(self, number: int, frame: FrameType | None) -> None:
        if self._child is None:
            self._early.append(number)
        else:
            self._child.send_signal(number)


def names(runs: Iterable[PlannedRun]) -> str:
    """Runs in words: the seeds of each variant."""
    seeds: dict[str, list[int]] = {}
    for run in runs:
        seeds.setdefault(run.variant, []).append(run.seed)
    return "; ".join(
        f"{variant} with seed{'s' if len(of) > 1 else ''} {', '.join(map(str, of))}"
        for variant, of in seeds.items()
    )
