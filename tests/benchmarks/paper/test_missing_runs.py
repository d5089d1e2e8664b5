"""Which runs are finished, which are missing, and which call trains them."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from reproduce import run
from results_place import FINAL, Place
from training import next_call, run_command

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.read.search.spaces import MOST_VARIANTS
from rllib_ptm.cli.resume.run_lock import alone_in


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_runs_are_named_by_their_entry_their_grid_and_their_seed(place: Place) -> None:
    assert [run.key for run in place.experiment.runs] == [
        *(("qmix_atten", seed) for seed in (0, 1, 2)),
        *(("ptm mining_lambda=0.5", seed) for seed in (0, 1, 2)),
        *(("ptm mining_lambda=3", seed) for seed in (0, 1, 2)),
    ]


def test_a_finished_run_is_kept_whole(place: Place) -> None:
    folder = place.begin("tiny-ptm")
    place.train(folder, "ptm mining_lambda=3", 1, final=FINAL)
    place.add()

    (one,) = place.store.runs.values()  # read again from the files
    assert one.key == ("ptm mining_lambda=3", 1)
    assert one.run.curve["win_rate_mean"].tolist() == [0.1, 0.2, 0.3]
    assert one.run.final == FINAL
    assert one.end == {"env_steps": 3000, "updates": 6, "time_s": 30, "processor_time_s": 27}
    assert len(place.store.missing()) == 8
    with (place.docs / "tiny" / "runs.csv").open() as file:
        (row,) = csv.DictReader(file)
    settings = json.loads((place.docs / "tiny" / "settings.json").read_text())
    assert settings[row["settings"]]["mining_lambda"] == 3.0


def test_unfinished_runs_and_runs_of_others_do_not_count(place: Place) -> None:
    folder = place.begin("tiny-ptm")
    place.train(folder, "ptm mining_lambda=3", 1, steps=2000, done=False)
    other = place.begin("tiny-qmix_atten", steps=2000)  # stopped earlier than now
    place.train(other, "qmix_atten", 0, steps=2000)
    place.write(lr=0.01)  # from now on other settings
    place.train(place.begin("tiny-qmix_atten", "tiny-qmix_atten-2"), "qmix_atten", 1)
    place.write()
    assert not place.add().runs


def test_files_do_not_depend_on_the_order_in_which_runs_end(place: Place, tmp_path: Path) -> None:
    seeds, texts = (0, 1, 2), []
    for order in (seeds, seeds[::-1]):
        place.docs = tmp_path / f"docs{order[0]}"
        for seed in order:
            place.results = tmp_path / f"results{order[0]}_{seed}"
            place.train(place.begin("tiny-qmix_atten"), "qmix_atten", seed, final=FINAL)
            place.add()
        texts.append({file.name: file.read_text() for file in (place.docs / "tiny").iterdir()})
    assert texts[0] == texts[1]
    assert set(texts[0]) == {"curves.csv", "final.csv", "runs.csv", "settings.json"}


def test_episodes_that_come_later_are_added(place: Place) -> None:
    folder = place.begin("tiny-ptm")
    place.train(folder, "ptm mining_lambda=3", 1)
    place.add()
    assert not next(iter(place.store.runs.values())).run.final
    (trial,) = (inner for inner in folder.iterdir() if inner.is_dir())
    (trial / "final.json").write_text(json.dumps(FINAL))
    place.add()
    assert next(iter(place.store.runs.values())).run.final == FINAL


def test_the_first_call_trains_the_whole_entry(place: Place) -> None:
    call = place.next_call()
    assert (call.entry, call.resumed) == ("tiny-qmix_atten", None)
    assert call.spec["config"]["seed"] == {"grid_search": [0, 1, 2]}
    assert call.spec["max_concurrent_trials"] == 2


def test_only_missing_seeds_are_trained(place: Place, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        place.results = tmp_path / f"results{seed}"
        place.train(place.begin("tiny-qmix_atten"), "qmix_atten", seed)
        place.add()
    place.train(place.begin("tiny-ptm"), "ptm mining_lambda=3", 1)
    place.add()

    place.results = tmp_path / "another machine"
    call = place.next_call()
    assert call.spec["config"]["mining_lambda"] == {"grid_search": [0.5]}
    assert call.spec["config"]["seed"] == {"grid_search": [0, 1, 2]}
    missing = [one for one in place.store.missing() if one.variant != "ptm mining_lambda=0.5"]
    call = next_call(place.experiment, missing, place.results, jobs=1)
    assert call.spec["config"]["mining_lambda"] == {"grid_search": [3.0]}
    assert call.spec["config"]["seed"] == {"grid_search": [0, 2]}
    call.command(place.results, 10)
    written = yaml.safe_load((place.results / "tiny-ptm.yaml").read_text())
    assert written["tiny-ptm"]["config"]["seed"] == {"grid_search": [0, 2]}


def test_the_runs_of_one_variant_are_trained_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(command: list[str], look: Callable[[], None]) -> int:
        entry = yaml.safe_load(Path(command[command.index("file") + 1]).read_text())["tiny-ptm"]
        value, seeds = (entry["config"][key]["grid_search"] for key in ("mining_lambda", "seed"))
        folder = place.begin("tiny-ptm")
        for seed in seeds:
            place.train(folder, f"ptm mining_lambda={value[0]:g}", seed, final=FINAL)
        look()
        return 0

    monkeypatch.setattr("reproduce.run_command", train)
    monkeypatch.setattr("reproduce._draw", lambda *_: None)
    assert place.command("--variant", "ptm mining_lambda=3") == 0
    assert set(place.store.runs) == {("ptm mining_lambda=3", seed) for seed in (0, 1, 2)}


def test_an_interrupted_call_goes_on(place: Place) -> None:
    folder = place.begin("tiny-qmix_atten")
    place.train(folder, "qmix_atten", 0)
    place.train(folder, "qmix_atten", 1, steps=2000, done=False)
    place.add()
    call = place.next_call()
    assert call.resumed == "tiny-qmix_atten"
    assert [one.seed for one in call.runs] == [1, 2]
    assert call.spec["config"]["seed"] == {"grid_search": [0, 1, 2]}  # as it was begun
    assert call.command(place.results, 10)[-3:] == ["--resume", "--run-folder", "tiny-qmix_atten"]


def test_a_training_that_outlives_its_command_is_not_repeated(place: Place) -> None:
    """SIGKILL of the command leaves the training alone; it may have no checkpoint yet."""
    folder = place.begin("tiny-qmix_atten")
    place.train(folder, "qmix_atten", 0, steps=2000, done=False, checkpoint=False)
    with alone_in(folder), pytest.raises(InputError, match=f"{folder}: another process trains th"):
        place.next_call()
    assert place.next_call().resumed is None


def test_a_call_that_would_repeat_a_finished_run_is_not_continued(place: Place) -> None:
    folder = place.begin("tiny-qmix_atten")
    place.train(folder, "qmix_atten", 0, checkpoint=False)  # its checkpoint has been removed
    place.train(folder, "qmix_atten", 1, steps=2000, done=False)
    place.add()
    call = place.next_call()
    assert call.resumed is None
    assert call.spec["config"]["seed"] == {"grid_search": [1, 2]}


def test_a_run_without_checkpoint_begins_again(place: Place) -> None:
    folder = place.begin("tiny-qmix_atten")
    place.train(folder, "qmix_atten", 0, steps=2000, done=False, checkpoint=False)
    assert place.next_call().resumed is None


def test_other_settings_than_those_of_finished_runs_are_refused(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.train(place.begin("tiny-ptm"), "ptm mining_lambda=3", 1)
    place.add()
    place.write(lr=0.01, steps=9000)
    assert place.command("--draw-only") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "tiny.yaml: ptm mining_lambda=3: lr was not set, is 0.01; stop was" in line
    assert "=3000, is num_env_steps_sampled_lifetime=9000" in line
    assert "--forget VARIANT" in line
    assert place.command("--forget", "ptm mining_lambda=3") == 0
    assert not place.store.runs


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("method", None, "tiny-ptm.config.method: it is missing"),
        ("seed", None, "tiny-ptm.config.seed: it is missing"),
        ("seed", "one", "tiny-ptm.config.seed: expected whole numbers, found 'one'"),
        (
            "seed",
            {"grid_search": [1, 2.5]},
            "tiny-ptm.config.seed: expected whole numbers, found 2",
        ),
        ("lr", {"uniform": [0, 1]}, "tiny-ptm.config: expected grids only, found a distribution"),
        (
            "lr",
            {"grid_search": list(range(1, 99))},
            f"at most {MOST_VARIANTS} points of grids",
        ),
    ],
)
def test_a_file_that_gives_no_runs_is_refused_in_one_line(
    place: Place, capsys: pytest.CaptureFixture[str], key: str, value: Any, said: str
) -> None:
    file = place.experiments / "tiny.yaml"
    content = yaml.safe_load(file.read_text())
    content["tiny-ptm"]["config"][key] = value
    if value is None:
        del content["tiny-ptm"]["config"][key]
    file.write_text(yaml.safe_dump(content))
    assert place.command("--status") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{file}: ")
    assert said in line


def test_folders_that_are_none_are_refused(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    file, empty = place.experiments / "tiny.yaml", place.experiments / "empty"
    empty.mkdir()
    for option, folder, said in (
        ("--results", file, f"--results: expected a folder, found the file {file}"),
        ("--docs", file, f"--docs: expected a folder, found the file {file}"),
        ("--experiments", empty, f"--experiments: {empty} holds no YAML file"),
    ):
        assert place.command(option, str(folder)) == 2
        assert capsys.readouterr().err == f"{said}\n"
    place.docs.mkdir()
    (place.docs / "tiny").write_text("no folder")
    place.train(place.begin("tiny-qmix_atten"), "qmix_atten", 0)
    assert place.command("--import") == 2
    assert capsys.readouterr().err == f"'{place.docs / 'tiny'}' cannot be made: File exists\n"


def test_a_policy_whose_checkpoint_is_gone_is_named(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproduce._draw", lambda *_: None)
    folder = place.begin("tiny-qmix_atten")
    for seed in (0, 2):
        place.train(folder, "qmix_atten", seed, checkpoint=False)
    assert place.command("--import") == 0
    assert "tiny: qmix_atten with seeds 0, 2: no checkpoint is left in" in capsys.readouterr().out


def test_names_that_do_not_exist_are_refused(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.command("--forget", "ptm") == 2
    assert "tiny has no finished run of 'ptm'" in capsys.readouterr().err
    assert place.command("--variant", "qmix_aten") == 2
    assert "--variant" in (said := capsys.readouterr().err)
    assert "did you mean 'qmix_atten'?" in said
    folders = ["--experiments", str(place.experiments), "--docs", str(place.docs)]
    assert run(["tyni", *folders]) == 2
    assert "did you mean 'tiny'?" in capsys.readouterr().err


def test_the_status_and_the_list_say_what_is_missing(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place.begin("tiny-qmix_atten")
    place.train(folder, "qmix_atten", 0)
    place.train(folder, "qmix_atten", 1, steps=2000, done=False)
    place.add()
    assert place.command("--status") == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "qmix_atten" in line)
    assert row.split() == ["qmix_atten", "0", "1", "2", "0.0"]
    assert run(["--experiments", str(place.experiments), "--docs", str(place.docs)]) == 0
    assert "1 of 9" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_training_once(number: int, tmp_path: Path) -> None:
    got = tmp_path / "signals"
    program = (
        "import signal, sys, time\n"
        "def note(number, frame):\n"
        "    print(number, file=open(sys.argv[1], 'a'), flush=True)\n"
        "signal.signal(signal.SIGINT, note), signal.signal(signal.SIGTERM, note)\n"
        "open(sys.argv[1], 'w').close()\n"
        "deadline = time.monotonic() + 20\n"
        "while not open(sys.argv[1]).read() and time.monotonic() < deadline: time.sleep(0.02)\n"
        "time.sleep(0.2), sys.exit(128 + int(open(sys.argv[1]).read()))\n"
    )

    def send() -> None:
        while not got.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    looks: list[int] = []
    sender = threading.Thread(target=send)
    sender.start()
    command = [sys.executable, "-c", program, str(got)]
    assert run_command(command, lambda: looks.append(1)) == 128 + number
    sender.join()
    assert got.read_text() == f"{number:d}\n"
    assert looks
    assert subprocess.run([sys.executable, "-c", "pass"], check=False).returncode == 0
