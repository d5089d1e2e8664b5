"""Results folders as ``rllib train`` leaves them, written without any training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STEPS_PER_ITERATION = 1000
RUN_FILE = "experiment.json"


def write_run(
    storage: Path, name: str, config: Mapping[str, Any], steps: int, *, entry: str | None = None
) -> Path:
    """Writes the folder of a run with its record, and no trial.

    Args:
        storage: The results folder.
        name: The name of the run's folder.
        config: The config of the entry, grids included.
        steps: The env steps that end a trial.
        entry: The name of the entry; None = that of the folder.
    """
    folder = storage / name
    folder.mkdir(parents=True)
    record = {
        "name": entry or name,
        "algorithm": "PTM",
        "config": {**config, "num_cpus_for_main_process": 1},
        "stop": {"num_env_steps_sampled_lifetime": float(steps)},
    }
    (folder / RUN_FILE).write_text(json.dumps(record))
    return folder


def write_trial(
    run: Path,
    config: Mapping[str, Any],
    steps: int,
    *,
    done: bool = True,
    checkpoint: bool = True,
    final: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Writes a trial into a run's folder, with an evaluation of one task in each iteration.

    Args:
        run: The run's folder.
        config: The trial's config.
        steps: The env steps that it has reached.
        done: Whether it has met its stop conditions.
        checkpoint: Whether it has an (empty) checkpoint.
        final: Its episodes after training; empty = none were played.
    """
    number = sum(inner.is_dir() for inner in run.iterdir())
    folder = run / f"PTM_multi_task_sc2_abcde_{number:05}_{number}_2026-01-01_00-00-00"
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps({**config, "num_cpus_for_main_process": 1}))
    iterations = range(1, steps // STEPS_PER_ITERATION + 1)
    rows = [_row(iteration, done and iteration == iterations[-1]) for iteration in iterations]
    (folder / "result.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    if checkpoint:
        (folder / "checkpoint_000003").mkdir()
    if final:
        (folder / "final.json").write_text(json.dumps(list(final)))
    return folder


def _row(iteration: int, done: bool) -> dict[str, Any]:
    rate = iteration / 10
    return {
        "training_iteration": iteration,
        "num_env_steps_sampled_lifetime": float(iteration * STEPS_PER_ITERATION),
        "time_total_s": 10.0 * iteration,
        "timers": {"processor_time_s_lifetime": 9.0 * iteration},
        "learners": {"default_policy": {"num_module_steps_trained_lifetime": 64.0 * iteration}},
        "evaluation": {"env_runners": {"win_rate_mean": rate, "win_rate": {"3m_vs_3m": rate}}},
        "done": done,
    }
