"""Wrong input, and the line that the user gets for it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

from rllib_ptm.cli.main import main

GOOD: dict[str, Any] = {
    "small": {
        "run": "PTM",
        "env": "multi_task_sc2",
        "stop": {"training_iteration": 1},
        "checkpoint_config": {"checkpoint_frequency": 1},
        "config": {"env_config": {"tasks": "small_mt"}},
    }
}
REMOVED = object()


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good experiment with one thing changed, for example at ``"stop.time_total_s"``."""
    content = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    place = content["small"]
    for key in parents:
        place = place.setdefault(key, {})
    if value is REMOVED:
        del place[last]
    else:
        place[last] = value
    return content


# The path of a wrong value, the value, the place that the message names, and what else it says: the
# nearest match, or the legal values.
BAD_VALUES: list[tuple[str, Any, str, str]] = [
    # The experiment's own keys
    ("rnu", "PTM", "small.rnu", "did you mean 'run'?"),
    ("checkpoint_confg", {}, "small.checkpoint_confg", "did you mean 'checkpoint_config'?"),
    ("run", "PMT", "run", "did you mean 'PTM'?"),
    ("run", "PPO", "run", "legal: PTM"),
    ("run", REMOVED, "run", "expected one of PTM, found nothing"),
    ("env", "multi_task_sc", "env", "did you mean 'multi_task_sc2'?"),
    ("config.env", "CartPole-v1", "config.env", "expected 'multi_task_sc2' as in env"),
    ("num_samples", 0, "small.num_samples", "expected at least 1 and at most 10000, found 0"),
    ("config", [1, 2], "small.config", "expected Mapping"),
    ("config.class", "x", "small.config.class", "leave it out"),
    ("config.__stdout_file__", "x", "small.config.__stdout_file__", "leave it out"),
    ("config.method", ["ptm"], "config.method", "expected str, found ['ptm']"),
    ("checkpoint_config.checkpoint_score_order", "min", "score_order", "changes nothing without"),
    # Stop conditions: with a key that is never reported, training would not end
    ("stop.time_totl_s", 3, "stop.time_totl_s", "did you mean 'time_total_s'?"),
    ("stop.episode_reward_mean", 3, "stop.episode_reward_mean", "env_runners/episode_return_mean"),
    ("stop.env_runners/win_rate/5m_vs_7m", 0.5, "win_rate/5m_vs_7m", "win_rate/5m_vs_6m'?"),
    ("stop.evaluation/env_runners/win_rate/5m_vs_6m", 0.5, "stop.evaluation", "did you mean"),
    ("stop.env_runners/win_rate_mean", 90, "stop.env_runners/win_rate_mean", "at most 1"),
    ("stop.time_total_s", -5, "stop.time_total_s", "more than 0"),
    ("stop.time_total_s", "10 min", "stop.time_total_s", "expected float, found '10 min'"),
    ("stop.time_total_s", float("inf"), "stop.time_total_s", "found inf"),
    ("stop", {}, "stop", "at least one of"),
    ("stop", REMOVED, "stop", "at least one of"),
    ("stop", 10, "small.stop", "expected Mapping"),
    # Checkpoints
    ("checkpoint_config.checkpoint_freq", 1, "checkpoint_freq", "'checkpoint_frequency'?"),
    ("checkpoint_config.num_to_keep", 0, "checkpoint_config.num_to_keep", "at least 1"),
    ("checkpoint_config.checkpoint_at_end", False, "checkpoint_at_end", "expected true"),
    ("checkpoint_config.checkpoint_score_order", "mx", "score_order", "did you mean 'max'?"),
    (
        "checkpoint_config.checkpoint_score_attribute",
        "win_rate_mean",
        "checkpoint_config.checkpoint_score_attribute",
        "did you mean 'env_runners/win_rate_mean'?",
    ),
    # The config
    ("config.minng_lambda", 1, "config.minng_lambda", "did you mean 'mining_lambda'?"),
    ("config.num_env_runner", 1, "config.num_env_runner", "did you mean 'num_env_runners'?"),
    ("config.method", "ptn", "config.method", "did you mean 'ptm'?"),
    ("config.action_head", "slots", "config.action_head", "did you mean 'slot'?"),
    ("config.optimizer_name", "adamw", "config.optimizer_name", "did you mean 'adam'?"),
    ("config.mixer", "vdm", "config.mixer", "legal: "),
    ("config.gamma", 1.5, "config.gamma", "at most 1"),
    ("config.lr", "fast", "config.lr", "found 'fast'"),
    ("config.num_env_runners", "two", "config.num_env_runners", "found 'two'"),
    ("config.epsilon_final", 5, "config.epsilon_final", "at most 1"),
    ("config.batch_size_episodes", 0, "config.batch_size_episodes", "at least 1"),
    ("config.batch_size_episodes", True, "config.batch_size_episodes", "expected int"),
    ("config.train_batch_size", 64, "config.train_batch_size", "batch_size_episodes"),
    ("config.lr", {"grid_search": [1e-3, -1]}, "config.lr", "found -1"),
    ("config.lr", {"grid_search": 1e-3}, "config.lr", "expected grid_search: [a value, ...]"),
    ("config.lr", {"grid_serch": [1e-3]}, "config.lr", "found {'grid_serch'"),
    ("config.evaluation_num_env_runners", 1, "config.evaluation_num", "evaluation_interval"),
    ("config.evaluation_interval", 0, "config.evaluation_interval", "at least 1"),
    # The battles
    ("config.env_config", "small_mt", "config.env_config", "expected a mapping"),
    ("config.env_config.task", "small_mt", "config.env_config.task", "did you mean 'tasks'?"),
    ("config.env_config.tasks", "smal_mt", "tasks", "did you mean 'small_mt'?"),
    ("config.env_config.tasks", "5m_vs_6q", "task '5m_vs_6q'", "such as '5m_vs_6m'"),
    ("config.env_config.tasks", [], "tasks", "the list is empty"),
    ("config.env_config.tasks", ["5m", "5m"], "tasks", "5m stands twice"),
    ("config.env_config.tasks", [5], "tasks", "expected task names, found 5"),
    ("config.env_config.tasks", 5, "config.env_config.tasks", "found 5"),
    ("config.env_config.tasks", "MMM", "task 'MMM'", "does not know medivac"),
    ("config.env_config.backend", "smx", "config.env_config.backend", "did you mean 'smax'?"),
    ("config.env_config.max_allies", 5, "env_config.max_allies", "need 6 slots, found 5"),
    ("config.env_config.time_limit_steps", 0, "time_limit_steps", "at least 1"),
    ("config.env_config.tasks", {"grid_search": ["small_mt", "lrge_mt"]}, "tasks", "'large_mt'?"),
]

BAD_FILES: list[tuple[str, str, str]] = [
    ("", "expected {name: {run,", "an empty file"),
    ("small: {run: PTM", "line 1, column", "not YAML"),
    ("a: 1\n\tb: 2", "line 2, column 1", "not YAML"),
    ("[1, 2]", "expected {name: {run,", "found [1, 2]"),
    ("run: PTM\nenv: multi_task_sc2", "expected {name: {run,", "without a name above"),
    ("small: PTM", "small", "expected a mapping"),
    ("a/b: {run: PTM}", "'a/b'", "without '/'"),
    ("small: {run: PTM, run: PTM}", "line 1, column 19", "'run' stands twice"),
    ("small: &x {run: *x}", "nested too deeply", "holds too much"),
    ("small: {num_samples: 2001-01-01}", "2001", "put it between quotes"),
    ("small: {num_samples: 010}", "line 1, column 22", "base 8 or 60"),
    ("small: {config: {lr: 1:30.5}}", "'1:30.5'", "base 8 or 60"),
    ("small: {config: {1: 2}}", "keys that are words", "found 1"),
    ("[" * 3000, "nested too deeply", ""),
]

BAD_COMMANDS: list[tuple[list[str], str, str]] = [
    (["trian"], "'trian'", "Did you mean 'train'?"),
    (["train", "mine.yaml", "--resume"], "mine.yaml", "rllib train file mine.yaml"),
    (["train", "file", "missing.yaml"], "missing.yaml", "there is no such file"),
    (["train", "file", "tuned_examples/ptm_smal_mt.yaml"], "ptm_smal_mt", "ptm_small_mt.yaml'?"),
    (["train", "file", "."], ".", "found a folder"),
    (["train", "file", "x" * 300], "xxx", "File name too long"),
    (["train", "file", "x.yaml", "--stpo", "{}"], "--stpo", "--stop"),
    (["train", "--resume", "file", "x.yaml"], "--resume", "after the file"),
    (["train", "--stop", "{"], "--stop", "not JSON"),
    (["train", "--config", "[]"], "--config", "expected a JSON object"),
    (["train", "--env", "multi_task_sc2"], "run", "expected one of PTM"),
    (["train", "--algo", "PTM"], "env", "expected one of multi_task_sc2"),
    (["example", "get", "ptm_smal_mt"], "example", "did you mean 'ptm_small_mt'?"),
    (
        ["example", "run", "nothing"],
        "example",
        "legal: fast, foraging, mixed_armies, ppo_multi_task",
    ),
    (["evaluate", "x" * 300], "xxx", "found nothing"),
    (["evaluate", "nowhere"], "checkpoint 'nowhere'", "found nothing"),
    # Options of Ray's former command
    (["train", "--framework", "torch"], "--framework", "torch only; leave it out"),
    (["train", "file", "x.yaml", "--local-mode"], "--local-mode", "num_env_runners 0"),
    (["train", "-f", "x.yaml"], "-f", "rllib train file X.yaml"),
    (["evaluate", "nowhere", "--run", "PPO"], "--run", "the checkpoint knows it"),
    (["evaluate", "nowhere", "--steps", "9"], "--steps", "it is --episodes now"),
    (["rollout", "nowhere"], "rollout", "it is rllib evaluate now"),
    # One of two values would be ignored
    (["train", "--stop", "{}", "--stop", "{}"], "--stop", "stands twice"),
    (["train", "-a", "PTM", "--run=PTM"], "--algo", "as -a and as --run"),
    (["train", "--stop", '{"a": 1, "a": 2}'], "--stop", "the key 'a' stands twice"),
    (["evaluate", "nowhere", "--episodes", "0"], "--episodes", "greater than or equal to 1"),
]


def the_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """Runs the command, which must end with one line on stderr and without Ray."""
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert "Traceback" not in output.err + output.out
    (line,) = output.err.splitlines()
    assert not ray.is_initialized()
    return line


@pytest.mark.parametrize(("path", "value", "place", "hint"), BAD_VALUES)
def test_a_wrong_value_is_named(
    path: str,
    value: Any,
    place: str,
    hint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(changed(path, value)))
    line = the_line(capsys, ["train", "file", str(file), "--storage-path", str(tmp_path)])
    assert line.startswith(f"rllib: {file}: small")
    assert place in line
    assert hint in line


@pytest.mark.parametrize(("content", "place", "hint"), BAD_FILES)
def test_a_wrong_file_is_named(
    content: str, place: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    line = the_line(capsys, ["train", "file", str(file)])
    assert line.startswith(f"rllib: {file}")
    assert place in line
    assert hint in line


@pytest.mark.parametrize(("arguments", "place", "hint"), BAD_COMMANDS)
def test_a_wrong_command_is_named(
    arguments: list[str],
    place: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    line = the_line(capsys, arguments)
    assert place in line
    assert hint in line


def test_all_that_is_wrong_in_a_file_is_named_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = changed("run", "PMT")
    spec = content["small"]
    spec["num_sampels"] = 2
    spec["stop"] = {"time_totl_s": 3, "training_iteration": 0}
    spec["checkpoint_config"] = {"num_to_keep": 0, "checkpoint_at_end": False}
    spec["scheduler"], spec["scheduler_config"] = "asha", {"max_tt": 3, "grace_period": 0}
    spec["config"] = {"lr": {"uniform": [2, 1]}, "gamma": {"choice": []}, "minng_lambda": 1}
    content["other"] = {"run": "PTM", "stop": {"time_total_s": 1}}
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    assert main(["train", "file", str(file)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(f"rllib: {file}: ").partition(": ")[0] for line in lines] == [
        "small.run",
        "small.config.lr.uniform",
        "small.config.gamma",
        "small.checkpoint_config.checkpoint_at_end",
        "small.checkpoint_config.num_to_keep",
        "small.scheduler_config.grace_period",
        "small.scheduler_config.max_tt",
        "small.num_sampels",
        "other.env",
    ]
    for line, nearest in ((lines[0], "PTM"), (lines[6], "max_t"), (lines[7], "num_samples")):
        assert f"did you mean {nearest!r}?" in line


def test_stop_conditions_are_named_beside_what_else_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = changed("stop", {"time_totl_s": 3, "training_iteration": 0})
    content["small"]["num_samples"] = 0
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(content))
    assert main(["train", "file", str(file)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"rllib: {file}: small.num_samples: expected at least 1")
    assert "did you mean 'time_total_s'?" in lines[1]
    assert lines[2].startswith(f"rllib: {file}: small.stop.training_iteration: expected more than")
    assert main(["train", "file", str(file), "--stop", '{"time_totl_s": 3}']) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(f"rllib: {file}: ").split(": ")[:2] for line in lines] == [
        ["small.num_samples", "expected at least 1 and at most 10000, found 0"],
        ["small", "--stop.time_totl_s"],
    ]


def test_what_rllib_checks_is_named_at_once_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = changed("config.minng_lambda", 1)
    content["small"]["config"] |= {"gamma": {"grid_search": [0.9, 2, 3]}, "num_gpus": 1}
    content["small"]["config"]["seed_for_evaluation"] = 1
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(content))
    assert main(["train", "file", str(file), "--storage-path", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(f"rllib: {file}: small: ").partition(": ")[0] for line in lines] == [
        "config.seed_for_evaluation",
        "config.minng_lambda",
        "config.num_gpus",
        "config.gamma",
        "config.gamma",
    ]
    assert not ray.is_initialized()


def test_a_file_that_is_not_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    assert "it is not text" in the_line(capsys, ["train", "file", str(file)])


def test_a_storage_path_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    for storage in (str(file), "s3://bucket/results"):
        line = the_line(capsys, ["train", "file", str(file), "--storage-path", storage])
        assert line.startswith("rllib: --storage-path: ")
        assert storage in line


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "somewhere", "ray://x:1"])
def test_no_cluster_there(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    arguments = ["train", "file", str(file), "--storage-path", str(tmp_path)]
    line = the_line(capsys, [*arguments, "--ray-address", address])
    assert line.startswith("rllib: --ray-address: ")
    assert repr(address) in line


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", "/tmp/x"])
def test_a_run_folder_is_a_name(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["example", "run", "ptm_small_mt_quick", "--storage-path", str(tmp_path)]
    line = the_line(capsys, [*words, "--run-folder", name])
    assert "--run-folder: expected the name of a folder in --storage-path" in line
    assert f"found {name!r}" in line
    assert not any(tmp_path.iterdir())


def test_nothing_to_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    arguments = ["train", "file", str(file), "--storage-path", str(tmp_path), "--resume"]
    assert "--resume: there is no run of small in" in the_line(capsys, arguments)


def test_the_checkpoint_meant_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = tmp_path / "trial" / "checkpoint_000003"
    for folder in (checkpoint, checkpoint / "learner_group"):
        folder.mkdir(parents=True)
        (folder / "rllib_checkpoint.json").touch()
    (checkpoint / "policy").mkdir()
    trained_in = {"env": "multi_task_sc2", "env_config": {"tasks": ["3m"]}}
    (checkpoint / "policy/config.json").write_text(json.dumps(trained_in))
    line = the_line(capsys, ["evaluate", str(tmp_path)])
    assert line.endswith(f"found a folder without it; did you mean {str(checkpoint)!r}?")
    line = the_line(capsys, ["evaluate", str(checkpoint), "--tasks", "5m_vs_6m,smal_mt"])
    assert line.startswith("rllib: --tasks: task 'smal_mt'")
    line = the_line(capsys, ["evaluate", str(checkpoint), "--out", str(tmp_path / "x.txt")])
    assert line.startswith("rllib: --out: expected a file name that ends in .json or .csv")
    for options, message in (
        (["--backend", "smx"], "--backend: 'smx' is unknown; did you mean 'smax'?"),
        (["--save-replay", "x"], "--save-replay: only backend 'sc2' has this setting"),
        (["--render", "x.avi"], "--render: expected a file name that ends in .gif or .mp4"),
        (["--render", "nowhere/x.gif"], "--render: there is no folder 'nowhere'"),
        (["--out", f"{checkpoint}.csv/x.csv"], "--out: there is no folder"),
    ):
        line = the_line(capsys, ["evaluate", str(checkpoint), *options])
        assert line.startswith(f"rllib: {message}")
    line = the_line(capsys, ["evaluate", str(checkpoint), "--out", "nowhere/x.csv"])
    assert line == "rllib: --out: there is no folder 'nowhere'"


def test_a_mistake_costs_no_import_of_ray(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(changed("config.env_config.tasks", "smal_mt")))
    code = (
        "import sys; from rllib_ptm.cli.main import main; "
        f"code = main(['train', 'file', {str(file)!r}]); "
        "print(code, *{'ray', 'torch', 'jax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"
    assert "did you mean 'small_mt'?" in done.stderr


def test_the_command_itself_says_so_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rllib_ptm.cli.main", "train", "--algo", "PTM"]
    options = ["--env", "multi_task_sc2", "--stop", '{"time_total_s": 5}', "--config"]
    done = subprocess.run(
        [*command, *options, '{"env_config": {"tasks": "smal_mt"}}'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("rllib: command line: default.config.env_config.tasks: ")
    assert "did you mean 'small_mt'?" in line
    assert "\x1b" not in done.stdout
