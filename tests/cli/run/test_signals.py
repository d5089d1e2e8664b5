"""Ctrl-C, SIGTERM, and what is neither."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial

from rllib_ptm.cli import main as command
from rllib_ptm.cli.run.exit_codes import EXIT_FAILED, Terminated, handle_signal
from rllib_ptm.cli.run.interrupt import (
    INTERRUPTED,
    InterruptCallback,
    PausingFIFO,
    signals_of_a_run,
)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_pauses_trials_and_a_second_one_ends_the_run(number: int, code: int) -> None:
    ended = []
    outside = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with signals_of_a_run():
        signal.signal(signal.SIGINT, lambda *_: ended.append("now"))  # Tune's own handler
        callback: Any = InterruptCallback()
        callback.setup()
        running, paused = (
            SimpleNamespace(status=Trial.RUNNING),
            SimpleNamespace(status=Trial.PAUSED),
        )
        decide: Any = PausingFIFO().on_trial_result
        assert decide(None, None, {}) == PausingFIFO.CONTINUE
        os.kill(os.getpid(), number)
        assert decide(None, None, {}) == PausingFIFO.PAUSE
        callback.on_step_end(trials=[running, paused])
        assert not ended
        callback.on_step_end(trials=[paused, paused])
        assert len(ended) == 1
        os.kill(os.getpid(), number)
        assert len(ended) == 2
    assert INTERRUPTED.exit_code == code
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == outside
    INTERRUPTED.clear()


def test_handlers_are_left_alone_outside_of_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=handle_signal, args=(signal.SIGTERM, print))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before


def raising(error: BaseException) -> Any:
    def play(*_: Any) -> None:
        raise error

    return play


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (Terminated(), 143), (EOFError("Ran out of input"), EXIT_FAILED)],
    ids=["Ctrl-C", "SIGTERM", "a cut file"],
)
def test_only_ctrl_c_ends_with_130(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("rllib_ptm.cli.run.evaluate.evaluate", raising(error))
    assert command.main(["evaluate", "somewhere"]) == code
    lines = capsys.readouterr().err.split("\n")
    said = [line for line in lines if line]
    assert len(said) == (code == EXIT_FAILED)
    if said:
        assert "a file is empty or cut off, as a full disk leaves it: Ran out of input" in said[0]


def test_sigterm_outside_of_training_ends_the_command() -> None:
    """Also if it does not listen: the exit code is that of the signal."""
    code = (
        "import os, signal, time, rllib_ptm.cli.run.evaluate as e, rllib_ptm.cli.main as m\n"
        "e.evaluate = lambda *_: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(60))\n"
        "raise SystemExit(m.main(['evaluate', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (143, "")
