"""Reading of runs: results folders, whole and damaged, and the CSV files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from run_folders import evaluation, row, seeds_of, write_run, write_trial

from rllib_ptm.checks.errors import InputError
from rllib_ptm.results import Run, read_runs, settings_hash, write_curves, write_final
from rllib_ptm.results.settings import names_of, searched_values

PTM = {"method": "ptm", "lr": 0.001}
FINAL = {
    "task": "5m_vs_5m",
    "episodes": 100,
    "wins": 80,
    "win_rate": 0.8,
    "return_mean": 17.25,
    "length_mean": 21.5,
    "truncated_share": 0.0,
    "win_rate_low": 0.7111,
    "win_rate_high": 0.8667,
}


@pytest.mark.parametrize(
    ("entry", "grid", "experiment", "names"),
    [
        ("small_mt-refil", {}, None, ("small_mt", "refil")),
        ("refil_3-8sz", {}, None, ("refil_3-8sz", "ptm")),
        ("refil_3-8sz-refil", {}, None, ("refil_3-8sz", "refil")),
        ("quick", {}, None, ("quick", "ptm")),
        ("quick", {"method": "ptm"}, None, ("quick", "ptm")),
        ("l-ptm", {"lr": 0.001, "mining_lambda": 3.0}, None, ("l", "ptm lr=0.001 mining_lambda=3")),
        ("my-own-game", {}, "my-own", ("my-own", "game")),
        ("my-own", {}, "my-own", ("my-own", "ptm")),
    ],
)
def test_names_of_experiment_and_variant(
    entry: str, grid: dict, experiment: str | None, names: tuple[str, str]
) -> None:
    assert names_of(entry, "ptm", grid, experiment) == names


def test_a_space_is_what_a_trial_has_otherwise() -> None:
    written = {
        "seed": {"grid_search": [1, 2]},
        "lr": {"loguniform": [1e-4, 1e-2]},
        "env_config": {"tasks": "small_mt", "backend": {"choice": ["smax", "sc2"]}},
        "callbacks_config": {"choice": [{"a": 1}, {"a": 2}]},
    }
    used = {
        "seed": 1,
        "lr": 0.003,
        "env_config": {"tasks": "small_mt", "backend": "smax"},
        "callbacks_config": {"a": 2},
        "gamma": 0.9,
    }
    expected = {"callbacks_config": {"a": 2}, "env_config/backend": "smax", "lr": 0.003}
    assert searched_values(written, used) == expected


def test_settings_differ_by_what_changes_the_learning() -> None:
    same = settings_hash("PTM", {**PTM, "seed": 3, "num_cpus_for_main_process": 1})
    assert settings_hash("PTM", {"lr": 0.001, "method": "ptm", "sample_timeout_s": 5.0}) == same
    assert settings_hash("PTM", {**PTM, "lr": 0.002}) != same
    assert settings_hash("PPO", PTM) != same
    assert settings_hash("PTM", {"a": 1}) == settings_hash("PTM", {"a": 1.0})


def only(storage: Path) -> Run:
    (run,) = read_runs([storage])
    return run


def test_a_run_has_its_evaluations(tmp_path: Path) -> None:
    params = {**PTM, "seed": 7}
    first = {**row(1, params, None), "evaluation_at_start": evaluation((0.0, 0.1))}
    rows = [first, row(2, params, (0.25, 0.5)), row(3, params, None, done=True)]
    folder = write_run(tmp_path, "small_mt-ptm", PTM, {"PTM_a": (params, rows)})
    (folder / "PTM_a/final.json").write_text(json.dumps([FINAL]))
    run = only(tmp_path)
    assert (run.experiment, run.variant, run.method, run.seed) == ("small_mt", "ptm", "ptm", 7)
    assert run.finished
    assert list(run.final) == [FINAL]
    assert run.tasks == ("5m_vs_5m", "5m_vs_6m")
    assert run.curve.to_dict("list") == {
        "env_steps": [0.0, 2000.0],
        "updates": [0.0, 2.0],  # 64 trained episodes in batches of 32
        "time_s": [0.0, 4.0],
        "processor_time_s": [0.0, 3.0],
        "win_rate_mean": [0.05, 0.375],
        "win_rate/5m_vs_5m": [0.0, 0.25],
        "win_rate/5m_vs_6m": [0.1, 0.5],
    }


def test_the_final_value_is_the_mean_of_the_last_three_evaluations(tmp_path: Path) -> None:
    seeds_of(tmp_path, "a", {0: [(0.0, 0.0), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8)]}, **PTM)
    run = only(tmp_path)
    assert run.final_value() == pytest.approx(0.5)
    assert run.final_value("win_rate/5m_vs_6m") == pytest.approx(0.6)
    assert pd.isna(run.final_value("win_rate/3m"))


def test_of_a_repeated_iteration_the_later_result_counts(tmp_path: Path) -> None:
    """A killed run resumes from its checkpoint, and repeats what came after that."""
    rows = [row(n, PTM, (rate, rate)) for n, rate in ((1, 0.1), (2, 0.9), (2, 0.2), (3, 0.3))]
    write_run(tmp_path, "a", PTM, {"PTM_a": (PTM, rows)})
    assert only(tmp_path).curve["win_rate_mean"].tolist() == [0.1, 0.2, 0.3]


def test_grids_make_variants_and_groups(tmp_path: Path) -> None:
    written = {**PTM, "mining_lambda": {"grid_search": [0, 3.0]}, "seed": {"grid_search": [1, 2]}}
    trials: dict[str, Any] = {}
    for number, (value, seed) in enumerate([(0, 1), (3.0, 1), (0, 2), (3.0, 2)]):
        params = {**PTM, "mining_lambda": value, "seed": seed}
        trials[f"PTM_{number}"] = (params, [row(1, params, (0.1, 0.2), done=True)])
    write_run(tmp_path, "lambda-ptm", written, trials)
    runs = read_runs([tmp_path / "lambda-ptm"])
    by_variant = {name: [run.seed for run in of] for name, of in runs.groups().items()}
    assert by_variant == {"ptm mining_lambda=0": [1, 2], "ptm mining_lambda=3": [1, 2]}
    assert list(runs.groups("mining_lambda,method")) == [
        "mining_lambda=0 ptm",
        "mining_lambda=3 ptm",
    ]
    assert [len(of) for of in runs.groups("method").values()] == [4]
    with pytest.raises(InputError, match=r"--by: 'lambda' is unknown; did you mean 'mining_lamb"):
        runs.groups("lambda")


def test_any_result_key_is_a_metric(tmp_path: Path) -> None:
    seeds_of(tmp_path, "a", {0: [(0.0, 0.0), (0.2, 0.4)]}, **PTM)
    run = only(tmp_path)
    values = run.values("learners/default_policy/grad_norm")
    assert values["value"].tolist() == [10.0, 5.0, pytest.approx(10 / 3), 2.5]
    assert values["env_steps"].tolist() == [1000.0, 2000.0, 3000.0, 4000.0]
    assert run.values("win_rate_mean")["value"].tolist() == [0.0, pytest.approx(0.3)]
    with pytest.raises(InputError, match=r"--metric \(a: ptm, seed 0\): 'win_rat_mean' is unkn"):
        run.values("win_rat_mean")
    with pytest.raises(InputError, match="a CSV file has no others, the run's results folder has"):
        replace(run, folder=None).values("learners/default_policy/grad_norm")


def test_unfinished_and_damaged_trials_are_named(tmp_path: Path) -> None:
    params = {**PTM, "seed": 1}
    trials = {f"PTM_{name}": (params | {"seed": name}, [row(1, params, None)]) for name in (1, 2)}
    folder = write_run(tmp_path, "a-ptm", PTM, trials)
    with (folder / "PTM_2/result.json").open("a") as file:
        file.write('{"training_iteration": 2, "eval')
    (folder / "PTM_2/final.json").write_text("[1, 2]")
    write_trial(folder / "PTM_3", {}, [])
    write_trial(folder / "PTM_4", {**PTM, "seed": "x"}, [row(1, {}, None)])
    runs = read_runs([tmp_path])
    assert [run.seed for run in runs] == [1, 2]
    assert list(runs.notes) == [
        "a: ptm, seed 1: no evaluation yet, or evaluation_interval is not set",
        "a: ptm, seed 1: unfinished, at 1,000 steps",
        f"{folder}/PTM_2/result.json: line 2 cannot be read and is left out",
        f"{folder}/PTM_2/final.json cannot be read and is left out",
        "a: ptm, seed 2: no evaluation yet, or evaluation_interval is not set",
        "a: ptm, seed 2: unfinished, at 1,000 steps",
        f"{folder}/PTM_3: no result yet; left out",
        f"{folder}/PTM_4: the seed 'x' is no whole number; left out",
    ]


@pytest.mark.parametrize("lost", ["params.json", "experiment.json"])
def test_lost_files_are_made_up_for_as_far_as_possible(tmp_path: Path, lost: str) -> None:
    folder = seeds_of(tmp_path, "a-refil", {4: [(0.5, 0.5)]}, method="refil")
    for file in (folder / lost, folder / "PTM_4" / lost):
        file.unlink(missing_ok=True)
    run = only(tmp_path)
    assert (run.experiment, run.variant, run.seed) == ("a", "refil", 4)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", '"', "\x00\x01"])
def test_what_holds_no_runs_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "other.csv"
    file.write_text(content)
    for path in (file, tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError) as caught:
            read_runs([path])
        (line,) = caught.value.lines
        assert line.startswith(f"{path}: ")


def test_a_csv_file_holds_the_same_runs(tmp_path: Path) -> None:
    folder = seeds_of(tmp_path, "a-ptm", {0: [(0.1, 0.2), (1 / 3, 1.0)], 1: [(0.0, 0.5)]}, **PTM)
    (folder / "PTM_1/final.json").write_text(json.dumps([FINAL]))
    params = {**PTM, "opt": [1, "x"]}
    trial = (params, [row(1, params, (0.5, 0.5)), row(2, params, (0.6, 0.6))])
    written = {**PTM, "opt": {"choice": [[1, "x"], 2.5]}}
    without_seed = {"PTM_0": trial, "PTM_1": trial}
    write_run(tmp_path / "more", "b", written, without_seed)
    runs = read_runs([tmp_path, tmp_path / "more"])
    out = tmp_path / "docs"
    out.mkdir()
    write_curves(runs, out / "curves.csv")
    write_final(runs, out / "final.csv")
    again = read_runs([out])
    assert [run.name for run in again] == [run.name for run in runs]
    for one, other in zip(again, runs, strict=True):
        for key in ("seed", "grid", "settings", "finished", "method"):
            assert getattr(one, key) == getattr(other, key)
        assert list(one.final) == list(other.final)
        pd.testing.assert_frame_equal(one.curve, other.curve, atol=1e-4)
    write_curves(again, out / "again.csv")
    assert (out / "again.csv").read_bytes() == (out / "curves.csv").read_bytes()
    lines = (out / "curves.csv").read_text().splitlines()
    assert lines[0] == (
        "experiment,variant,method,seed,run,settings,finished,opt,env_steps,updates,time_s,"
        "processor_time_s,win_rate_mean,win_rate/5m_vs_5m,win_rate/5m_vs_6m"
    )
    assert lines[2].endswith(",yes,,4000,6,8.0,6.0,0.6667,0.3333,1.0000")


def edited_csv(folder: Path) -> tuple[Path, list[str]]:
    """A file of two runs with three evaluations each, and its lines."""
    rates = [(0.1, 0.2), (0.3, 0.4), (0.5, 1.0)]
    seeds_of(folder / "results", "a-ptm", {0: rates, 1: rates[::-1]}, **PTM)
    file = folder / "curves.csv"
    write_curves(read_runs([folder / "results"]), file)
    return file, file.read_text().splitlines()


def test_rows_of_a_csv_file_may_have_any_order_and_be_repeated(tmp_path: Path) -> None:
    file, lines = edited_csv(tmp_path)
    expected = {run.seed: run.curve for run in read_runs([file])}
    last_first = [lines[0], *lines[:0:-1]]
    for edited in (last_first, lines + lines[1:], [lines[0], *sorted(lines[1:] * 2)], [*lines, ""]):
        file.write_text("\n".join(edited) + "\n")
        found = {run.seed: run.curve for run in read_runs([file])}
        for seed, curve in expected.items():
            pd.testing.assert_frame_equal(found[seed], curve)


@pytest.mark.parametrize("with_numbers", [True, False])
def test_runs_without_a_seed_are_told_apart(tmp_path: Path, with_numbers: bool) -> None:
    """A file that was written before the column ``run`` depends on the order of its rows."""
    rows = [[row(n, PTM, (rate, rate)) for n in (1, 2)] for rate in (0.1, 0.5, 0.9)]
    trials = {f"PTM_{number}": (PTM, of) for number, of in enumerate(rows)}
    folder = write_run(tmp_path / "results", "a", PTM, trials)
    (folder / "PTM_1/final.json").write_text(json.dumps([FINAL]))
    runs = read_runs([tmp_path / "results"])
    write_curves(runs, tmp_path / "curves.csv")
    write_final(runs, tmp_path / "final.csv")
    table = pd.read_csv(tmp_path / "curves.csv", dtype=str)
    assert table["run"].tolist() == ["1", "1", "2", "2", "3", "3"]
    written = table.sort_values(["env_steps", "run"]) if with_numbers else table.drop(columns="run")
    written.to_csv(tmp_path / "curves.csv", index=False)
    again = read_runs([tmp_path / "curves.csv"])
    assert [run.final_value() for run in again] == pytest.approx([0.1, 0.5, 0.9])
    assert [bool(run.final) for run in again] == [False, with_numbers, False]


@pytest.mark.parametrize(
    ("column", "text", "problem"),
    [
        ("env_steps", "abc", "line 3: env_steps: expected a number from 0 upward, found 'abc'"),
        ("env_steps", "", "line 3: env_steps: expected a number, found ''"),
        ("env_steps", "2000", "line 3: another evaluation of this run at 2000 steps has other va"),
        ("time_s", "-1", "line 3: time_s: expected a number from 0 upward, found '-1'"),
        ("win_rate_mean", "85 %", "line 3: win_rate_mean: expected a number between 0 and 1, fou"),
        ("win_rate/5m_vs_5m", "85", "line 3: win_rate/5m_vs_5m: expected a number between 0 and"),
        ("win_rate/5m_vs_5m", "inf", "line 3: win_rate/5m_vs_5m: expected a number between 0 an"),
        ("seed", "1.5", "line 3: seed: expected a whole number, found '1.5'"),
        ("finished", "maybe", "line 3: finished: expected yes or no, found 'maybe'"),
        ("variant", "", "line 3: variant: expected a name, found ''"),
        ("method", "ptm,x", "line 3: expected 13 cells, found 14"),
    ],
)
def test_a_wrong_cell_of_a_csv_file_is_named(
    tmp_path: Path, column: str, text: str, problem: str
) -> None:
    file, lines = edited_csv(tmp_path)
    cells = lines[2].split(",")
    cells[lines[0].split(",").index(column)] = text
    file.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n")
    with pytest.raises(InputError) as caught:
        read_runs([file])
    (line,) = caught.value.lines
    assert line.startswith(f"{file}: {problem}")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("note", "hello", "line 2: note: expected the value of a searched key, in JSON"),
        ("time_s", "1", "two columns have one name: time_s"),
    ],
)
def test_a_further_column_of_a_csv_file_is_a_searched_key(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    file, (header, *rows) = edited_csv(tmp_path)
    file.write_text("\n".join([f"{header},{name}", *(f"{row},{text}" for row in rows)]) + "\n")
    with pytest.raises(InputError, match=problem):
        read_runs([file])


def test_a_wrong_number_in_final_csv_is_named(tmp_path: Path) -> None:
    file, _ = edited_csv(tmp_path)
    runs = [replace(run, final=[FINAL]) for run in read_runs([file])]
    write_final(runs, tmp_path / "final.csv")
    text = (tmp_path / "final.csv").read_text()
    (tmp_path / "final.csv").write_text(text.replace("17.25", "many", 1))
    with pytest.raises(
        InputError, match=r"final\.csv: line 2: return_mean: expected a number, fou"
    ):
        read_runs([file])


def test_no_run_counts_twice(tmp_path: Path) -> None:
    """A run that was repeated, and one that stands in a CSV file as well."""
    seeds_of(tmp_path / "x", "a-ptm", {0: [(0.1, 0.2)], 1: [(0.3, 0.4)]}, **PTM)
    seeds_of(tmp_path / "y", "a-ptm", {1: [(0.3, 0.4), (0.5, 0.6)]}, **PTM)
    runs = read_runs([tmp_path / "x", tmp_path / "y"])
    assert [(run.seed, run.env_steps) for run in runs] == [(0, 2000.0), (1, 4000.0)]
    (note,) = runs.notes
    assert note.startswith("a: ptm, seed 1: found twice; the run of 4,000 steps (")
    again = read_runs([tmp_path / "x", tmp_path / "y" / ".." / "x", tmp_path / "x" / "a-ptm"])
    assert [run.seed for run in again] == [0, 1]
    assert again.notes == ()  # one folder that is named three times is no second run
    seeds_of(tmp_path / "z", "a-ptm", {1: [(0.9, 0.9)]}, method="ptm", lr=0.1)
    assert len(read_runs([tmp_path / "x", tmp_path / "z"])) == 3  # other settings, another run
