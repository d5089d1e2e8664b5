"""``rllib train`` and ``rllib evaluate`` as users run them, with tiny networks and few battles."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import wait_until
from PIL import Image

from rllib_ptm.cli.main import main
from rllib_ptm.cli.show.trial_report import FINAL_SEED

TINY = """
tiny:
  run: PTM
  env: multi_task_sc2
  stop: {training_iteration: 3}
  config:
    seed: 1
    attention_dim: 16
    hypernet_dim: 16
    recurrent_dim: 16
    mixing_dim: 8
    batch_size_episodes: 4
    learning_starts_episodes: 20
    num_envs_per_env_runner: 4
    min_sample_timesteps_per_iteration: 100
    env_config: {tasks: [2m_vs_2m, 3m_vs_2m]}
"""
RLLIB = [sys.executable, "-m", "rllib_ptm.cli.main"]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the networks are too small for more
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return file


def trials_of(folder: Path, name: str = "tiny") -> list[Path]:
    return [path for path in (folder / "results" / name).iterdir() if path.is_dir()]


def rows_of(trial: Path) -> list[dict[str, str]]:
    with (trial / "progress.csv").open() as file:
        return list(csv.DictReader(file))


EVALUATION = """seed: 1
    evaluation_interval: 2
    evaluation_duration: 3
    action_head: entity"""
SCORE = "env_runners/episode_return_mean"
KEEP = f"{{checkpoint_frequency: 1, num_to_keep: 1, checkpoint_score_attribute: {SCORE}}}"


def two_experiments() -> str:
    """The tiny one, and one with evaluations that keeps its best checkpoint."""
    stop = "{evaluation/env_runners/win_rate/2m_vs_2m: 1.0, training_iteration: 4}"
    other = TINY.replace("tiny:", "evaluates:").replace("seed: 1", EVALUATION)
    other = other.replace("{training_iteration: 3}", stop)
    return TINY + other.replace("\n  config:", f"\n  checkpoint_config: {KEEP}\n  config:")


class Trained(NamedTuple):
    """What the command has printed, and the folder where it ran."""

    printed: str
    folder: Path

    def trial(self, name: str) -> Path:
        (trial,) = trials_of(self.folder, name)
        return trial

    def paths(self, name: str) -> dict[str, str]:
        """The paths that the report of an experiment shows, by their labels."""
        shown = re.findall(r"^(\w[\w ]+?)  +(/.*)$", self.printed, re.MULTILINE)
        return {label: path for label, path in shown if f"/results/{name}/" in path}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One command for all: the start of the command and of Ray takes longer than the training."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "two.yaml").write_text(two_experiments())
    command = [*RLLIB, "train", "file", "two.yaml", "--evaluation-episodes", "2"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # the networks are too small for more
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=one_thread)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # Ray prints nothing
    return Trained(done.stdout, folder)


def test_from_a_file_to_a_picture(
    trained: Trained, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "\x1b" not in trained.printed
    assert re.search(r"tiny: iteration 3, [\d,]+ env steps, .* left about 00:00", trained.printed)
    assert re.search(r"3m_vs_2m +│ +[012]/2 │", trained.printed)

    trial = trained.trial("tiny")
    rows = rows_of(trial)
    assert [row["training_iteration"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["learners/default_policy/loss_ori"] == ""  # nothing was learnt yet
    assert float(rows[2]["learners/default_policy/loss_ori"]) > 0
    assert list(trial.glob("events.out.tfevents.*"))
    with Image.open(trial / "win_rate.png") as picture:
        assert min(picture.size) > 500
    final = json.loads((trial / "final.json").read_text())
    assert [row["task"] for row in final] == ["2m_vs_2m", "3m_vs_2m"]
    paths = trained.paths("tiny")
    assert all(Path(path).exists() for path in paths.values())
    assert set(paths) == {"checkpoint", "results", "TensorBoard", "win rates", "final episodes"}

    out, film = tmp_path / "out.json", tmp_path / "film.gif"
    command = ["evaluate", paths["checkpoint"], "--episodes", "2", "--out", str(out)]
    assert main([*command, "--seed", str(FINAL_SEED), "--render", str(film)]) == 0
    played = capfd.readouterr()
    assert played.err == ""
    assert "95 % interval" in played.out
    assert json.loads(out.read_text()) == final  # the same battles, the same policy
    with Image.open(film) as frames:
        assert frames.n_frames > 2  # type: ignore[attr-defined]


def test_evaluation_ends_a_run(trained: Trained) -> None:
    key = "evaluation/env_runners/episodes/3m_vs_2m"
    assert [row[key] for row in rows_of(trained.trial("evaluates"))] == ["", "3.0", "", "3.0"]


@pytest.mark.slow  # what it prints has a fast test in tests/cli/show
def test_a_failed_trial_says_why_and_where_its_log_is(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "nonsense")  # fails once the trial has started
    assert main(["train", "file", tiny.name]) == 1
    message, where = capfd.readouterr().err.splitlines()
    assert message.startswith("tiny: a trial failed: RuntimeError: Unable to initialize backend")
    assert "nonsense" in Path(where.removeprefix("The whole story: ")).read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_resume_continues(tiny: Path, number: int, code: int) -> None:
    command = [*RLLIB, "train", "file", tiny.name, "--evaluation-episodes", "2"]
    endless = [*command, "--stop", '{"training_iteration": 1000000}']
    process = subprocess.Popen(
        endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "iteration" in line and "steps/s" in line:
            break
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)  # as a cluster does
    output, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "Finishing the iteration and saving a checkpoint" in output
    assert "tiny: interrupted" in output
    with pytest.raises(ProcessLookupError):  # no process of it is left
        os.killpg(process.pid, 0)

    whole = tiny.read_text()
    tiny.write_text(whole.replace("seed: 1", "seed: 2"))
    changed = subprocess.run([*command, "--resume"], capture_output=True, text=True)
    assert changed.returncode == 2
    assert "--resume: the experiment is not the one begun: config.seed was 1" in changed.stderr
    tiny.write_text(whole)

    (trial,) = trials_of(tiny.parent)
    played = len((trial / "result.json").read_text().splitlines())
    (state,) = trial.parent.glob("experiment_state-*.json")
    state.write_bytes(state.read_bytes()[:3000])  # as a full disk leaves it
    process = subprocess.Popen([*endless, "--resume"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "steps/s" in line:
            break
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode == code
    assert f"{state} cannot be read" in "".join(said)
    assert f"tiny: goes on from iteration {played} (" in "".join(said)
    assert f"iteration {played + 1}," in said[-1]
    assert trials_of(tiny.parent) == [trial]


ENDLESS = ["--stop", '{"training_iteration": 1000000}', "--checkpoint-freq", "1"]


def processes_of(session: int) -> list[int]:
    """The processes that have begun in a session, whichever groups they are in."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(ValueError, OSError):
            state, _, _, of_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(of_session) == session and state != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("reaches", ["its group", "all of its processes"])
def test_sigterm_to_many_processes_ends_the_run_in_time(tiny: Path, reaches: str) -> None:
    """As ``timeout`` and clusters send it. Ray itself would wait a minute, and end with 1."""
    process = subprocess.Popen(
        [*RLLIB, "train", "file", tiny.name, *ENDLESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: bool(list(tiny.parent.glob("results/*/*/checkpoint_000002"))), 240)
    if reaches == "its group":
        os.killpg(process.pid, signal.SIGTERM)
    else:
        for number in processes_of(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGTERM)
    output, errors = process.communicate(timeout=50)
    assert process.returncode == 143
    if reaches == "its group":
        assert errors == ""
        assert "The same command with --resume continues from there" in output
    else:
        (line,) = errors.splitlines()
        assert "SIGTERM has ended Ray's own processes too, so nothing could be saved" in line
        assert re.search(r"the last good checkpoint is .*/checkpoint_\d+$", line)
    wait_until(lambda: not processes_of(process.pid), 60)


READ_ONLY = """
"$@" &
until ls results/*/*/checkpoint_000001/rllib_checkpoint.json; do sleep 0.2; done >/dev/null 2>&1
run=$(ls -d results/*/)
mount --bind $run $run && mount -o remount,bind,ro $run || { kill -9 $!; exit 77; }
wait $!
"""


@pytest.mark.slow
def test_a_disk_that_becomes_read_only_ends_in_one_line(tiny: Path) -> None:
    command = [*RLLIB, "train", "file", tiny.name, *ENDLESS]
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, "sh", *command],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine allows no mounts")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert ": Read-only file system; the last good checkpoint is " in line


@pytest.mark.slow
def test_a_finished_run_goes_on_beyond_its_end(tiny: Path) -> None:
    command = [*RLLIB, "train", "file", tiny.name, "--evaluation-episodes", "1"]
    assert subprocess.run(command, capture_output=True).returncode == 0
    more = [*command, "--resume", "--stop", '{"training_iteration": 5}']
    done = subprocess.run(more, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tiny: goes on from iteration 3 (" in done.stdout
    (trial,) = trials_of(tiny.parent)
    assert [row["training_iteration"] for row in rows_of(trial)] == ["1", "2", "3", "4", "5"]

    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"results in {trial.parent}-2" in again.stdout
    assert trials_of(tiny.parent) == [trial]  # the first run's folder is as it was


@pytest.mark.slow
def test_a_deleted_folder_is_named(tiny: Path) -> None:
    endless = [*RLLIB, "train", "file", tiny.name, "--stop", '{"training_iteration": 1000000}']
    process = subprocess.Popen(
        [*endless, "--checkpoint-freq", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    next(line for line in process.stdout if "steps/s" in line)
    shutil.rmtree(tiny.parent / "results", ignore_errors=True)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the results folder was deleted while the run trained" in errors.splitlines()[-1]


def test_the_best_checkpoint_stays_and_is_played(trained: Trained) -> None:
    assert "evaluates: greedy episodes of the best checkpoint" in trained.printed
    trial = trained.trial("evaluates")
    scores = [float(row[SCORE]) for row in rows_of(trial)]
    best = scores.index(max(scores))
    kept = {path.name for path in trial.glob("checkpoint_*")}
    assert kept == {f"checkpoint_{best:06}", "checkpoint_000003"}  # the last is never dropped
    assert Path(trained.paths("evaluates")["checkpoint"]).name == f"checkpoint_{best:06}"


CALLBACK = """
from ray.rllib.callbacks.callbacks import RLlibCallback

class Mine(RLlibCallback):
    def on_episode_end(self, *, episode, metrics_logger, **kwargs):
        metrics_logger.log_value("my_return", episode.get_return(), window=10)
"""


@pytest.mark.slow
def test_a_callbacks_module_stands_beside_the_file_and_evaluation_needs_none(tiny: Path) -> None:
    """The command starts as installed: the working directory is not on Python's path."""
    folder = tiny.parent / "experiments"
    folder.mkdir()
    (folder / "callbacks_of_mine.py").write_text(CALLBACK)
    runners = "num_env_runners: 1\n    evaluation_num_env_runners: 1\n    evaluation_interval: 1"
    beside = f"{runners}\n    evaluation_parallel_to_training: true\n    evaluation_duration: 3"
    text = tiny.read_text().replace("    seed: 1\n", f"    seed: 1\n    {beside}\n")
    text = text.replace("    seed: 1\n", "    seed: 1\n    callbacks: callbacks_of_mine.Mine\n")
    file = folder / "with_callback.yaml"
    file.write_text(text.replace("training_iteration: 3", "training_iteration: 1"))
    script = "import sys; del sys.path[0]; from rllib_ptm.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", script]
    arguments = ["train", "file", f"experiments/{file.name}", "--evaluation-episodes", "1"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (trial,) = trials_of(tiny.parent)
    result = json.loads((trial / "result.json").read_text().splitlines()[-1])
    assert result["env_runners"]["my_return"] >= 0.0
    assert result["evaluation"]["env_runners"]["episodes"] == {"2m_vs_2m": 3, "3m_vs_2m": 3}
    (folder / "callbacks_of_mine.py").unlink()
    (checkpoint,) = trial.glob("checkpoint_*")
    arguments = ["evaluate", str(checkpoint), "--episodes", "1"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
