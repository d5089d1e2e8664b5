"""Writes runs in the JSON format of marl-eval, which BenchMARL and Mava write, too.

The form is ``environment -> task -> algorithm -> run -> step_N -> {step_count, metric: [values]}``,
and ``absolute_metrics`` beside the steps. An experiment stands for the environment. marl-eval
accepts an environment only if all its algorithms have the same tasks, the same number of runs and
of steps, and all steps and the absolute metrics name the same metrics. So ``elapsed_time`` is left
out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rllib_ptm.checks.errors import InputError
from rllib_ptm.results.runs import BY_VARIANT, Run, Runs
from rllib_ptm.results.statistics import columns_of
from rllib_ptm.results.trials import ENV_STEPS, OF_TASK
from rllib_ptm.tasks.metrics import WIN_RATE, WIN_RATE_MEAN


def write_marl_eval(runs: Runs, file: str | Path, by: str = BY_VARIANT) -> tuple[str, ...]:
    """Writes the win rates of all evaluations.

    Args:
        runs: What ``read_runs`` returns.
        file: The JSON file.
        by: What makes an algorithm; see ``Runs.groups``.

    Returns:
        A line for each thing that was left out, as marl-eval wants equally many of all.

    Raises:
        InputError: No run was evaluated, runs of an experiment were evaluated on different tasks,
            or the file cannot be written.
    """
    notes: list[str] = []
    content = {name: _environment(name, runs.of(name), by, notes) for name in runs.experiments}
    text = json.dumps({name: tasks for name, tasks in content.items() if tasks}, indent=2)
    if not any(content.values()):
        raise InputError("--marl-eval: no run has an evaluation")
    try:
        Path(file).write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--marl-eval: {file}: cannot be written: {error.strerror}") from None
    return tuple(notes)


def _environment(name: str, runs: Runs, by: str, notes: list[str]) -> dict[str, Any]:
    evaluated = [run for run in runs if len(run.curve)]
    groups = Runs(tuple(evaluated)).groups(by) if evaluated else {}
    if not groups:
        return {}
    tasks = [column.removeprefix(OF_TASK) for column in columns_of(evaluated, WIN_RATE_MEAN)]
    chosen, steps = _equally_many(name, groups, notes)
    return {
        task: {
            group.replace(",", ";"): {  # marl-eval forbids commas in the names of algorithms
                _run_name(number, run): _steps(run, task, steps) for number, run in enumerate(of)
            }
            for group, of in chosen.items()
        }
        for task in tasks
    }


def _equally_many(
    name: str, groups: Mapping[str, Sequence[Run]], notes: list[str]
) -> tuple[dict[str, list[Run]], int]:
    """An equal number of runs of each group, and how many evaluations all of these have."""
    number = min(map(len, groups.values()))
    chosen = {}
    for group, of in groups.items():
        longest = sorted(of, key=lambda run: -len(run.curve))[:number]
        chosen[group] = [run for run in of if run in longest]
        if len(of) > number:
            notes.append(f"{name}: {group}: {number} of its {len(of)} runs; all have so many")
    lengths = {len(run.curve) for of in chosen.values() for run in of}
    if len(lengths) > 1:
        notes.append(f"{name}: the first {min(lengths)} evaluations of each run; all have so many")
    return chosen, min(lengths)


def _run_name(number: int, run: Run) -> str:
    return f"run_{number}" if run.seed is None else f"seed_{run.seed}"


def _steps(run: Run, task: str, number: int) -> dict[str, Any]:
    rows = run.curve.head(number)
    steps, rates = rows[ENV_STEPS], rows[f"{OF_TASK}{task}"]
    content: dict[str, Any] = {
        f"step_{place}": {"step_count": int(step), WIN_RATE: [_rounded(rate)]}
        for place, (step, rate) in enumerate(zip(steps, rates, strict=True))
    }
    content["absolute_metrics"] = {WIN_RATE: [_rounded(_absolute(run, task))]}
    return content


def _absolute(run: Run, task: str) -> float:
    """The win rate of the episodes after training; without them, of the last three evaluations."""
    played = (record for record in run.final if record.get("task") == task)
    record = next(played, None)
    return run.final_value(f"{OF_TASK}{task}") if record is None else float(record["win_rate"])


def _rounded(rate: float) -> float:
    return round(float(rate), 4)
