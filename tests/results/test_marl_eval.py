"""Files for marl-eval, against the rules by which its ``DiagnoseData`` accepts a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_folders import row, seeds_of, write_run

from rllib_ptm.checks.errors import InputError
from rllib_ptm.results import read_runs, write_marl_eval

RATES = [(0.1, 0.0), (0.4, 0.2), (0.6, 0.5), (0.8, 0.5)]


def only(values: list[Any]) -> Any:
    """The value that all of them have."""
    assert all(value == values[0] for value in values)
    return values[0]


def check_as_marl_eval_does(content: dict) -> None:
    """In an environment all tasks have the same algorithms, and all runs equally many steps."""
    for tasks in content.values():
        algorithms = only([sorted(algorithms) for algorithms in tasks.values()])
        assert not any("," in name for name in algorithms)
        of_algorithms = [runs for algorithms in tasks.values() for runs in algorithms.values()]
        only([len(runs) for runs in of_algorithms])
        of_runs = [steps for runs in of_algorithms for steps in runs.values()]
        only([sorted(steps) for steps in of_runs])
        metrics = [
            sorted(step.keys() - {"step_count"}) for steps in of_runs for step in steps.values()
        ]
        assert only(metrics) == ["win_rate"]


def test_the_file_is_one_that_marl_eval_accepts(tmp_path: Path) -> None:
    """Groups with more runs, and runs with more evaluations, are cut to what all have."""
    results = tmp_path / "results"
    seeds_of(results, "small_mt-refil", {0: RATES, 1: RATES[:3], 2: RATES[:2]}, method="refil")
    folder = seeds_of(results, "small_mt-ptm", {3: RATES, 4: RATES}, method="ptm")
    final = [{"task": "5m_vs_5m", "win_rate": 0.77}, {"task": "5m_vs_6m", "win_rate": 0.33}]
    (folder / "PTM_3/final.json").write_text(json.dumps(final))
    seeds_of(results, "other-ptm", {0: RATES}, method="ptm")
    file = tmp_path / "marl_eval.json"
    notes = write_marl_eval(read_runs([results]), file)
    assert list(notes) == [
        "small_mt: refil: 2 of its 3 runs; all have so many",
        "small_mt: the first 3 evaluations of each run; all have so many",
    ]
    content = json.loads(file.read_text())
    check_as_marl_eval_does(content)
    assert list(content) == ["other", "small_mt"]
    task = content["small_mt"]["5m_vs_6m"]
    assert list(task["refil"]) == ["seed_0", "seed_1"]
    assert task["ptm"]["seed_3"] == {
        "step_0": {"step_count": 2000, "win_rate": [0.0]},
        "step_1": {"step_count": 4000, "win_rate": [0.2]},
        "step_2": {"step_count": 6000, "win_rate": [0.5]},
        "absolute_metrics": {"win_rate": [0.33]},
    }
    # Without episodes after training: the mean of the last three evaluations.
    assert task["ptm"]["seed_4"]["absolute_metrics"] == {"win_rate": [0.4]}


def test_commas_leave_the_names_of_groups(tmp_path: Path) -> None:
    params = {"method": "ptm", "opt": [1, 2]}
    written = {"method": "ptm", "opt": {"choice": [[1, 2]]}}
    rows = [row(1, params, (0.1, 0.2))]
    write_run(tmp_path, "a-ptm", written, {"PTM_0": (params, rows), "PTM_1": (params, rows)})
    write_marl_eval(read_runs([tmp_path]), tmp_path / "m.json")
    content = json.loads((tmp_path / "m.json").read_text())
    check_as_marl_eval_does(content)
    assert list(content["a"]["5m_vs_5m"]["ptm opt=[1; 2]"]) == ["run_0", "run_1"]


def test_without_evaluations_there_is_nothing_to_write(tmp_path: Path) -> None:
    params = {"method": "ptm", "seed": 0}
    write_run(tmp_path, "a-ptm", params, {"PTM_0": (params, [row(1, params, None)])})
    with pytest.raises(InputError, match="--marl-eval: no run has an evaluation"):
        write_marl_eval(read_runs([tmp_path]), tmp_path / "m.json")
