"""The runs of an experiment: what ``tuned_examples/paper/NAME.yaml`` asks for, one by one.

A run is one variant with one seed. Its variant is the name of its entry in the YAML file without
the experiment's name, and the values of the grids other than that over seeds:
``lambda_small_mt-ptm`` with ``mining_lambda: 0.3`` is the variant ``ptm mining_lambda=0.3``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rllib_ptm.checks.errors import InputError, located, unknown_name
from rllib_ptm.cli.read.experiment import Experiment, read_experiments
from rllib_ptm.cli.read.search.spaces import GRID, MOST_VARIANTS, grid_size, is_space, variants
from rllib_ptm.results.settings import METHOD, names_of, searched_values, settings_hash

SEED = "seed"


@dataclass(frozen=True)
class PlannedRun:
    """One run.

    Attributes:
        variant: What is compared; see the module's text.
        seed: The run's seed.
        entry: The entry of the YAML file; the folder of its results is named so, too.
        grid: The values of the entry's grids other than that over seeds, by key.
        algorithm: The name of the algorithm.
        config: All settings.
        stop: Result keys, and the values that end the run.
    """

    variant: str
    seed: int
    entry: str
    grid: Mapping[str, Any]
    algorithm: str
    config: Mapping[str, Any]
    stop: Mapping[str, float]

    @property
    def key(self) -> tuple[str, int]:
        """Its variant and its seed."""
        return self.variant, self.seed

    @property
    def method(self) -> str:
        """A row of ``METHODS``."""
        return str(self.config[METHOD])

    @cached_property
    def settings(self) -> str:
        """A hash of the settings that decide what the run learns, the seed apart."""
        return settings_hash(self.algorithm, self.config)


@dataclass(frozen=True)
class PaperExperiment:
    """An experiment: several entries of one YAML file.

    Attributes:
        name: Its name, also that of the file and of its folder in ``docs/results/``.
        file: The YAML file.
        entries: What ``rllib train file`` reads from the file.
        runs: All runs, in the order of the file; those of a variant one after the other.
    """

    name: str
    file: Path
    entries: tuple[Experiment, ...]
    runs: tuple[PlannedRun, ...]

    def entry(self, name: str) -> Experiment:
        """The entry of that name."""
        return next(entry for entry in self.entries if entry.name == name)

    @property
    def variants(self) -> dict[str, PlannedRun]:
        """The first run of each variant, in the order of the file."""
        first: dict[str, PlannedRun] = {}
        for run in self.runs:
            first.setdefault(run.variant, run)
        return first


def experiment_files(folder: Path) -> dict[str, Path]:
    """The experiments' files by name."""
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def read_experiment_file(folder: Path, name: str) -> PaperExperiment:
    """Reads an experiment.

    Args:
        folder: The folder of the YAML files.
        name: The experiment's name.

    Raises:
        InputError: There is no such experiment, or its file cannot be used.
    """
    files = experiment_files(folder)
    if not files:
        raise InputError(f"--experiments: {folder} holds no YAML file")
    if name not in files:
        raise unknown_name("EXPERIMENT", name, files)
    entries = tuple(read_experiments(files[name]))
    runs = tuple(run for entry in entries for run in _runs(name, files[name], entry))
    twice = {run.key for run in runs if sum(other.key == run.key for other in runs) > 1}
    if twice:
        raise InputError(
            f"{files[name]}: two runs have one variant and one seed: "
            f"{', '.join(f'{variant} with seed {seed}' for variant, seed in sorted(twice))}"
        )
    order = list(dict.fromkeys(run.variant for run in runs))
    by_variant = sorted(runs, key=lambda run: order.index(run.variant))
    return PaperExperiment(name, files[name], entries, tuple(by_variant))


def _runs(name: str, file: Path, entry: Experiment) -> Iterator[PlannedRun]:
    start = f"{name}-"
    base = entry.name.removeprefix(start)
    if base == entry.name or not base or "-" in base:
        raise InputError(
            f"{file}: expected entries named {start}VARIANT, without another '-', found "
            f"{entry.name!r}"
        )
    if entry.num_samples != 1 or entry.scheduler != "fifo":
        raise InputError(f"{file}: {entry.name}: expected grids only, without samples or scheduler")
    configs = list(variants(entry.config, "config"))
    with located(f"{file}: {entry.name}.config"):
        _check_grids(entry.config, configs)
    for config in configs:
        grid = searched_values(entry.config, config)
        _, variant = names_of(entry.name, config[METHOD], grid, name)
        yield PlannedRun(
            variant, int(config[SEED]), entry.name, grid, entry.algorithm, config, entry.stop
        )


def _check_grids(written: Mapping[str, Any], configs: Sequence[Mapping[str, Any]]) -> None:
    """Checks that a config gives runs of their own, each with a method and a seed.

    Args:
        written: The config as it is in the file.
        configs: The points of its grids, as far as there can be any.

    Raises:
        InputError: It does not.
    """
    for key in (METHOD, SEED):
        if key not in written:
            raise InputError(f".{key}: it is missing")
    for seed in (config[SEED] for config in configs):
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise InputError(f".{SEED}: expected whole numbers, found {seed!r:.60}")
    if (points := grid_size(written)) > len(configs):
        raise InputError(f": expected at most {MOST_VARIANTS} points of grids, found {points}")
    if points < len(configs):
        raise InputError(": expected grids only, found a distribution")


def with_seeds(config: Mapping[str, Any], run: PlannedRun, seeds: list[int]) -> dict[str, Any]:
    """The config of an entry for one of its variants, with a grid over these seeds only.

    Each other grid keeps one value. So the names of the trials say it, as in the whole grid.
    """
    return {**_chosen(config, run.config), SEED: {GRID: seeds}}


def _chosen(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for key, value in config.items():
        if is_space(value):
            chosen[key] = {GRID: [values[key]]}
        else:
            chosen[key] = _chosen(value, values[key]) if isinstance(value, Mapping) else value
    return chosen
