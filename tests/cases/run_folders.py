"""Results folders as ``rllib train`` leaves them, without training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TASKS = ("5m_vs_5m", "5m_vs_6m")
STEPS_PER_ITERATION = 1000


def row(
    iteration: int, config: Mapping[str, Any], rates: Sequence[float] | None, done: bool = False
) -> dict[str, Any]:
    """The result of an iteration, nested, with an evaluation if there are rates."""
    result: dict[str, Any] = {
        "training_iteration": iteration,
        "num_env_steps_sampled_lifetime": float(STEPS_PER_ITERATION * iteration),
        "time_total_s": 2.0 * iteration,
        "timers": {"processor_time_s_lifetime": 1.5 * iteration},
        "learners": {
            "default_policy": {
                "num_module_steps_trained_lifetime": 64.0 * (iteration - 1),
                "grad_norm": 10.0 / iteration,
            }
        },
        "env_runners": {"win_rate_mean": 0.1 * iteration},
        "done": done,
        "config": {"batch_size_episodes": 32, "method": "ptm", **config},
    }
    if rates is not None:
        result["evaluation"] = evaluation(rates)
    return result


def evaluation(rates: Sequence[float]) -> dict[str, Any]:
    """The part of a result that an evaluation adds."""
    win_rate = dict(zip(TASKS, rates, strict=True))
    mean = sum(rates) / len(rates)
    return {"env_runners": {"win_rate_mean": mean, "win_rate": win_rate}}


def write_run(
    storage: Path,
    name: str,
    config: Mapping[str, Any],
    trials: Mapping[str, tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]],
) -> Path:
    """Writes a run's folder: the record, and each trial's settings and results."""
    folder = storage / name
    folder.mkdir(parents=True)
    record = {"name": name, "algorithm": "PTM", "config": dict(config)}
    (folder / "experiment.json").write_text(json.dumps(record))
    for trial, (params, rows) in trials.items():
        write_trial(folder / trial, params, rows)
    return folder


def write_trial(folder: Path, params: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the settings and the results of one trial."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(params))
    (folder / "result.json").write_text("".join(f"{json.dumps(one)}\n" for one in rows))


def seeds_of(
    storage: Path, name: str, rates: Mapping[int, Sequence[Sequence[float]]], **config: Any
) -> Path:
    """A finished run with a trial per seed, evaluated in every second iteration.

    Args:
        storage: Where the run's folder comes.
        name: The name of the entry.
        rates: For each seed the win rates of each evaluation, by task.
        **config: Settings of all trials.
    """
    trials = {}
    for seed, evaluations in rates.items():
        params = {**config, "seed": seed}
        rows = []
        for number, found in enumerate(evaluations, start=1):
            last = number == len(evaluations)
            rows += [row(2 * number - 1, params, None), row(2 * number, params, found, done=last)]
        trials[f"PTM_{seed}"] = (params, rows)
    written = {**config, "seed": {"grid_search": list(rates)}}
    return write_run(storage, name, written, trials)
