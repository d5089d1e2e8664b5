"""A miniature of ``make results``: an experiment, its results folder and its documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from planned_runs import PaperExperiment, read_experiment_file
from reproduce import run
from results_folder import write_run, write_trial
from run_store import RunStore
from training import Call, next_call
from trial_folders import finished_runs

CONFIG: dict[str, Any] = {
    "method": "qmix_atten",
    "batch_size_episodes": 32,
    "seed": {"grid_search": [0, 1, 2]},
    "env_config": {"tasks": "3m_vs_3m"},
}
PTM = CONFIG | {"method": "ptm", "mining_lambda": {"grid_search": [0.5, 3.0]}}
STEPS = 3000
FINAL = [
    {
        **{"task": "3m_vs_3m", "episodes": 4, "wins": 3, "win_rate": 0.75, "return_mean": 15.0},
        **{"length_mean": 20.0, "truncated_share": 0.0, "win_rate_low": 0.3, "win_rate_high": 0.9},
    }
]


class Place:
    """An experiment ``tiny`` with the variants qmix_atten and ptm, and its folders."""

    def __init__(self, folder: Path) -> None:
        self.experiments, self.docs = folder / "paper", folder / "docs"
        self.results = folder / "results"
        self.experiments.mkdir()
        self.write()

    def write(self, steps: int = STEPS, **changed: Any) -> None:
        """Writes the YAML file; ``changed`` are keys of all configs."""
        entries = {
            f"tiny-{config['method']}": {
                **{"run": "PTM", "stop": {"num_env_steps_sampled_lifetime": steps}},
                "config": {"env": "multi_task_sc2", **config, **changed},
            }
            for config in (CONFIG, PTM)
        }
        (self.experiments / "tiny.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))

    @property
    def experiment(self) -> PaperExperiment:
        return read_experiment_file(self.experiments, "tiny")

    @property
    def store(self) -> RunStore:
        return RunStore.load(self.experiment, self.docs)

    def begin(self, entry: str, name: str | None = None, steps: int = STEPS) -> Path:
        """Writes the folder of a run of an entry."""
        config = self.experiment.entry(entry).config
        return write_run(self.results, name or entry, config, steps, entry=entry)

    def train(self, run: Path, variant: str, seed: int, **options: Any) -> None:
        """Writes the folder of a trial; by default one that has finished."""
        (planned,) = (one for one in self.experiment.runs if one.key == (variant, seed))
        write_trial(run, planned.config, options.pop("steps", STEPS), **options)

    def add(self) -> RunStore:
        store = self.store
        store.add(finished_runs(self.experiment, self.results))
        return store

    def command(self, *arguments: str) -> int:
        """Runs the command on the experiment."""
        folders = ["--experiments", str(self.experiments), "--docs", str(self.docs)]
        return run(["tiny", *folders, "--results", str(self.results), *arguments])

    def next_call(self) -> Call:
        return next_call(self.experiment, self.store.missing(), self.results, jobs=2)
