"""Runs the game, and ends it when whoever asked for it is gone; a script of its own.

    python watchdog.py COMMAND ...

Why a process of its own: an env runner can die without a last word (SIGKILL, out of memory), and
then nobody would end its games and remove their folders. The kernel's own means, a signal at the
parent's death (PR_SET_PDEATHSIG), does not do for the runner: it fires already when the *thread*
that started the child ends, it has to be set between fork and exec, which is unsafe in a process
with threads, and it removes no folder. So the watchdog holds the other end of a pipe, its standard
input: the kernel closes it when the runner ends, however it ends. The watchdog itself is alone in
its process, so for its own death that signal does do.

It is no child of the runner, because a worker of Ray that ends kills its children, and the watchdog
still has to clear up then.

What the game prints goes to its folder. How it ended, and the last line, go to standard output, of
which nobody else holds an end: when the reader finds it closed, all is done.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from types import FrameType

FOLDER_PREFIX = "rllib_ptm_sc2_"
POLL_SECONDS = 0.2  # the end of the pipe is noticed at once, the end of the game within this
PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> None:
    """Runs the command in a temporary folder until it ends or standard input is closed."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _leave)
    folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX)
    try:
        log = os.path.join(folder, "output.log")
        try:
            game = _start([*command, "-tempDir", folder + "/"], log)
        except OSError as error:
            print(error, flush=True)
            return
        try:
            if _wait_for_either(game):
                print(f"exit status {game.returncode}{_last_line(log)}", flush=True)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(game.pid, signal.SIGKILL)
            game.wait()
    finally:
        shutil.rmtree(folder)


def _start(command: list[str], log: str) -> subprocess.Popen:
    with open(log, "wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_the_watchdog,
        )


def _wait_for_either(game: subprocess.Popen) -> bool:
    """True if the game ended, False if standard input was closed."""
    while game.poll() is None:
        if select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
            return False
    return True


def _die_with_the_watchdog() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _last_line(log: str) -> str:
    with open(log, errors="replace") as output:
        lines = [line.strip() for line in output if line.strip()]
    return f": {lines[-1]}" if lines else ""


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    if os.fork() == 0:  # the parent ends at once, which makes this one nobody's child
        main(sys.argv[1:])
