"""Every input is run, or refused in a line for each thing that is wrong; nothing is ignored."""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import ray
import yaml
from mutations import mutated_command, mutated_file

from rllib_ptm import PTMConfig
from rllib_ptm.cli.main import main
from rllib_ptm.cli.options.declared import TrainOptions
from rllib_ptm.cli.read.examples import examples
from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.run import train
from rllib_ptm.cli.run.cluster import needed_resources
from rllib_ptm.environment.contract import TeamGame
from rllib_ptm.environment.starcraft import StarCraftGame

GOOD_FILES: list[dict[str, Any]] = [
    yaml.safe_load(path.read_text()) for path in examples().values() if path.suffix == ".yaml"
]
CONFIG = json.dumps({"lr": 0.001, "env_config": {"tasks": ["3m_vs_3m"]}})
STOP = '{"training_iteration": 3}'
GOOD_COMMANDS = [
    ["train", "--algo", "PTM", "--env", "multi_task_sc2", "--config", CONFIG, "--stop", STOP],
    ["train", "-a", "PTM", "-e", "multi_task_sc2", "-c", CONFIG, "-s", STOP, "-vv"],
    [
        "train",
        "file",
        "ptm_small_mt.yaml",
        "--stop",
        STOP,
        "--num-samples",
        "2",
        "--checkpoint-freq",
        "3",
        "--keep-checkpoints-num",
        "2",
        "--local-dir",
        "there",
        "--max-failures",
        "1",
    ],
    [
        "train",
        "file",
        "ptm_small_mt.yaml",
        "--scheduler",
        "asha",
        "--scheduler-config",
        '{"max_t": 9}',
        "--max-concurrent-trials",
        "2",
        "--ray-num-cpus",
        "2",
    ],
    ["example", "run", "ptm_small_mt_quick", "--keep-checkpoints-num", "2", "--ray-num-gpus", "0"],
    ["evaluate", "nowhere", "--tasks", "3m,5m_vs_6m", "--episodes", "3", "--out", "x.json"],
]
SECONDS = 30  # nothing that is only read takes as long


class Stuck(BaseException):
    """Not an Exception, so that nothing on the way takes it for a user's mistake."""


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Any]]:
    """What would have been run: the experiments and the options, in the place of a cluster."""
    begun: list[Any] = []

    def begin(runs: Sequence[train.Run], chosen: Any, console: Any, finished: Any) -> int:
        experiments = [run.experiment for run in runs]
        needed_resources([variant for e in experiments for variant in e.variants()])
        begun.append((experiments, chosen))
        return 0

    def stuck(number: int, frame: FrameType | None) -> None:
        raise Stuck

    monkeypatch.setattr(train, "_train_all", begin)
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGALRM, stuck)
    yield begun
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def run(words: list[str], runs: list[Any], capsys: pytest.CaptureFixture[str]) -> Any:
    """Returns what would have been run; None where it was refused in one line, or was only read."""
    runs.clear()
    signal.alarm(SECONDS)
    code = main(words)
    signal.alarm(0)
    output = capsys.readouterr()
    assert not ray.is_initialized()
    assert "Traceback" not in output.out + output.err
    if runs:
        assert code == 0
        assert output.err == ""
        return runs[0]
    assert code == 2 or "Usage:" in output.out or words[:1] == ["example"]
    if output.err:
        lines = output.err.splitlines()  # one for each thing that is wrong
        assert len(set(lines)) == len(lines)
        assert all(line.startswith("rllib: ") for line in lines)
    return None


def as_numbers(value: Any) -> Any:
    """YAML 1.1 reads 5e-4 as a word; we do not."""
    if isinstance(value, dict):
        return {k: as_numbers(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_numbers(v) for v in value]
    if isinstance(value, str) and value[:1] in "0123456789+-." and "e" in value.lower():
        try:
            return float(value)
        except ValueError:
            return value
    return value


def setting_of(game: TeamGame, key: str) -> object:
    """The value that a game has read; those of a StarCraft backend are only in its plain form."""
    if isinstance(game, StarCraftGame) and hasattr(game.settings, key):
        return getattr(game.settings, key)
    return game.plain()[key]


def assert_nothing_is_ignored(spec: dict[str, Any], experiment: Experiment) -> None:
    """All that is written under an experiment's name is in the experiment, and in its config."""
    written = as_numbers(spec)
    config = {k: v for k, v in experiment.config.items() if k != "env"}
    mine = {k: v for k, v in (written.get("config") or {}).items() if k != "env"}
    for key, value in mine.items():
        assert config.pop(key) == value
    assert config.keys() <= {"num_cpus_for_main_process"}
    assert experiment.stop == {k: float(v) for k, v in written["stop"].items()}
    assert experiment.num_samples == written.get("num_samples", 1)
    assert experiment.max_concurrent_trials == written.get("max_concurrent_trials")
    for key, value in (written.get("checkpoint_config") or {}).items():
        assert getattr(experiment.checkpoint, key) == value
    for key, value in (written.get("scheduler_config") or {}).items():
        assert getattr(experiment.scheduler_settings, key) == value
    assert set(written) <= {
        *("run", "env", "stop", "config", "num_samples", "max_concurrent_trials", "max_failures"),
        *("checkpoint_config", "scheduler", "scheduler_config"),
    }
    for variant in experiment.variants():
        built = PTMConfig().update_from_dict(variant)
        for key, value in variant.items():
            if key == "env_config":
                for inner, meant in value.items():
                    found = setting_of(built.game, inner)
                    assert (list(found) if isinstance(found, tuple) else found) == meant
            elif key not in ("evaluation_config", "callbacks", "callbacks_class", "class"):
                attribute = PTMConfig._translate_special_keys(key, warn_deprecated=False)
                assert getattr(built, attribute) == value


def fuzz_files(
    seeds: range, tmp_path: Path, runs: list[Any], capsys: pytest.CaptureFixture[str]
) -> int:
    accepted = 0
    for seed in seeds:
        rng = random.Random(seed)
        text = mutated_file(rng.choice(GOOD_FILES), rng)
        (tmp_path / "x.yaml").write_text(text)
        try:
            begun = run(["train", "file", "x.yaml"], runs, capsys)
            if begun is not None:
                accepted += 1
                experiments, _ = begun
                content = yaml.safe_load(text)
                assert [e.name for e in experiments] == list(content)
                for experiment in experiments:
                    assert_nothing_is_ignored(content[experiment.name], experiment)
        except BaseException as error:
            error.add_note(f"seed {seed}:\n{text[:3000]}")
            raise
    return accepted


# Where an option's value is found among the choices, and how it is read.
FIELDS = {
    "--stop": ("stop", str),
    "-s": ("stop", str),
    "--num-samples": ("num_samples", int),
    "--checkpoint-freq": ("checkpoint_freq", int),
    "--keep-checkpoints-num": ("keep_checkpoints_num", int),
    "--local-dir": ("storage_path", str),
    "--max-failures": ("max_failures", int),
    "--scheduler": ("scheduler", str),
    "--scheduler-config": ("scheduler_config", str),
    "--max-concurrent-trials": ("max_concurrent_trials", int),
    "--ray-num-cpus": ("ray_num_cpus", int),
    "--ray-num-gpus": ("ray_num_gpus", int),
}


def fuzz_commands(seeds: range, runs: list[Any], capsys: pytest.CaptureFixture[str]) -> int:
    accepted = 0
    for seed in seeds:
        rng = random.Random(seed)
        words = mutated_command(rng.choice(GOOD_COMMANDS), rng)
        try:
            begun = run(words, runs, capsys)
            if begun is not None:
                accepted += 1
                assert_no_word_is_ignored(words, *begun)
        except BaseException as error:
            error.add_note(f"seed {seed}: {words!r:.3000}")
            raise
    return accepted


def assert_no_word_is_ignored(
    words: list[str], experiments: Sequence[Experiment], chosen: TrainOptions
) -> None:
    for option, value in itertools.pairwise(words):
        if option in FIELDS:
            field, kind = FIELDS[option]
            assert getattr(chosen, field) == kind(value)
        if option in ("-c", "--config"):
            for key, written in json.loads(value).items():
                assert experiments[0].config[key] == written
    if chosen.stop is not None:
        stop = json.loads(chosen.stop)
        assert all(e.stop == {k: float(v) for k, v in stop.items()} for e in experiments)
    for experiment in experiments:
        if chosen.num_samples is not None:
            assert experiment.num_samples == chosen.num_samples
        if chosen.checkpoint_freq is not None:
            assert experiment.checkpoint.checkpoint_frequency == chosen.checkpoint_freq
        if chosen.scheduler is not None:
            assert experiment.scheduler == chosen.scheduler.lower()


def test_mutated_files(tmp_path: Path, runs: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 < fuzz_files(range(40), tmp_path, runs, capsys) < 40


def test_mutated_commands(runs: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 < fuzz_commands(range(25), runs, capsys) < 25


@pytest.mark.slow
def test_a_thousand_mutations(
    tmp_path: Path, runs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    accepted = fuzz_files(range(1000, 1700), tmp_path, runs, capsys)
    accepted += fuzz_commands(range(1000, 1300), runs, capsys)
    assert 50 < accepted < 500


@pytest.mark.slow
def test_the_command_itself_is_as_careful(tmp_path: Path) -> None:
    """What is refused, in processes of its own."""
    refused = 0
    for seed in range(2000, 2012):
        rng = random.Random(seed)
        (tmp_path / "x.yaml").write_text(mutated_file(rng.choice(GOOD_FILES), rng))
        words = ["train", "file", "x.yaml", "--ray-address", "127.0.0.1:1"]  # nothing answers there
        done = subprocess.run(
            [sys.executable, "-m", "rllib_ptm.cli.main", *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
        )
        assert done.returncode == 2, (seed, done.stderr)
        lines = done.stderr.splitlines()
        assert lines
        assert len(set(lines)) == len(lines)
        assert all(line.startswith("rllib: ") for line in lines)
        refused += "--ray-address" not in done.stderr
    assert refused > 0


def test_every_good_input_is_accepted(
    tmp_path: Path, runs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for content in GOOD_FILES:
        (tmp_path / "x.yaml").write_text(yaml.safe_dump(content))
        experiments, _ = run(["train", "file", "x.yaml"], runs, capsys)
        for experiment in experiments:
            assert_nothing_is_ignored(content[experiment.name], experiment)
    for words in GOOD_COMMANDS[:-1]:
        assert run(words, runs, capsys) is not None
        assert_no_word_is_ignored(words, *runs[0])
