"""What the command prints, in a terminal that knows ASCII only."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from pathlib import Path

import pytest
from ray.tune.error import TuneError
from rich.console import Console
from test_live_table import trained

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.main import main
from rllib_ptm.cli.read.text import check_path
from rllib_ptm.cli.run.storage_faults import StorageFaultError, explained
from rllib_ptm.cli.show.live_table import live_table
from rllib_ptm.cli.show.messages import OutputLostError, never_fail_to_encode, some_of, working
from rllib_ptm.cli.show.task_table import task_table
from rllib_ptm.play.evaluation_episodes import TaskResult
from rllib_ptm.ray_private.names import STORAGE_MARKER

FULL = Path("/dev/full")  # as a file on a full disk


class AsciiTerminal(io.TextIOWrapper):
    """Standard output and error, as in a terminal with LC_ALL=C."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="ascii", write_through=True)

    def __enter__(self) -> AsciiTerminal:
        self._before = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = self
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._before

    def text(self) -> str:
        return self.bytes.getvalue().decode("ascii")


@pytest.mark.parametrize(
    "command",
    [
        *("--help", "train --help", "train file --help", "evaluate --help", "example --help"),
        *("example list", "example run --help"),
    ],
)
def test_every_help_can_be_read_in_ascii(command: str) -> None:
    with AsciiTerminal() as terminal:
        assert main(command.split()) == 0
    assert len(terminal.text()) > 100
    assert "\\u" not in terminal.text()


def test_a_letter_that_ascii_has_not(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("größe: {run: 日}", encoding="utf-8")
    with AsciiTerminal() as terminal:
        assert main(["train", "file", str(path)]) == 2
    assert "gr\\xf6\\xdfe.run: '\\u65e5' is unknown" in terminal.text()


def test_tables_are_drawn_in_ascii() -> None:
    with AsciiTerminal() as terminal:
        never_fail_to_encode()  # as main() does
        console = Console(width=120)
        console.print(live_table([trained({"training_iteration": 9}, 3)[0]]))
        results = [TaskResult(task, 4, 2, 0.5, (0.2, 0.8), 10.0, 30.0) for task in ("3m", "5m")]
        console.print(task_table(results, title="x"))
        with working(Console(force_terminal=True, width=80), "Checking"):
            pass
    assert "5m" in terminal.text()
    framed = [len(line) for line in terminal.text().splitlines() if line[:1] in ("|", "+")]
    assert len(set(framed)) == 2  # the widths of the two tables
    assert "Checking" in terminal.text()


def test_a_path_that_the_locale_cannot_name(monkeypatch: pytest.MonkeyPatch) -> None:
    check_path("--storage-path", "größe")
    with pytest.raises(InputError, match=r"--storage-path: expected a path .* found 'x\\udcff'"):
        check_path("--storage-path", "x\udcff")  # a byte that is no UTF-8

    def ascii_only(path: str) -> bytes:
        return path.encode("ascii")

    monkeypatch.setattr(os, "fsencode", ascii_only)
    with pytest.raises(InputError, match=r"'größe': expected a path that can be written in UTF-8"):
        check_path("'größe'", "größe")


@pytest.mark.slow
def test_the_command_runs_in_another_thread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where Python allows no handlers of signals."""
    codes = []
    config = (
        '{"env_config": {"tasks": "2m", "time_limit_steps": 20}, "learning_starts_episodes": 4,'
        ' "batch_size_episodes": 4, "episodes_per_training_step": 4}'
    )
    words = ["train", "--algo", "PTM", "--env", "multi_task_sc2", "--config", config]
    words += ["--stop", '{"training_iteration": 1}', "--storage-path", str(tmp_path)]
    words += ["--evaluation-episodes", "1"]
    thread = threading.Thread(target=lambda: codes.append(main(words)))
    thread.start()
    thread.join()
    output = capsys.readouterr()
    assert codes == [0], output.err
    assert "Traceback" not in output.out + output.err


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    "words", [["example", "list"], ["example", "get", "ptm_small_mt"], ["--help"]]
)
def test_output_that_cannot_be_written_ends_in_one_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = FULL.open("w")
    monkeypatch.setattr(sys, "stdout", full)
    assert main(words) == 1
    assert sys.stdout is full
    full.close()  # as Python does at its end
    said = capsys.readouterr().err
    assert said == "rllib: the output cannot be written: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
def test_an_error_that_cannot_be_written_keeps_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FULL.open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert main(["example", "get", "nothing"]) == 2
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that closing it works


@pytest.mark.parametrize("by_tune", [False, True])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OutputLostError(errno.EPIPE, "Broken pipe"), "the output cannot be written: Broken pipe"),
        (OSError(errno.ENOSPC, "No space left", "/there/result.json"), "/there/result.json: No sp"),
    ],
)
def test_a_file_that_fails_while_tune_runs_is_named(
    error: OSError, said: str, by_tune: bool, tmp_path: Path
) -> None:
    def fail() -> None:
        if not by_tune:
            raise error
        try:
            raise error
        except OSError:  # as Tune does with the errors of its callbacks
            raise TuneError("Traceback") from None

    (tmp_path / STORAGE_MARKER).touch()
    with pytest.raises(StorageFaultError, match=f"^tiny: {said}"), explained("tiny", tmp_path):
        fail()


def test_another_error_of_tune_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(TuneError), explained("tiny", tmp_path):
        raise TuneError("Traceback")


def test_of_many_names_a_line_has_the_first() -> None:
    assert some_of(["3-8sz", "3m"]) == "3-8sz, 3m"
    line = some_of([f"{number}m" for number in range(1, 121)])
    assert line.startswith("1m, 2m, ")
    assert line.endswith(", 16m and 104 others")
