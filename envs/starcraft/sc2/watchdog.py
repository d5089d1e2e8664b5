"""A script that runs the game and ends it when the process that started the script ends.

    python watchdog.py LIBRARIES COMMAND ...

LIBRARIES is a folder of shared libraries for the game alone. They come before those of the user.

An env runner can be killed (SIGKILL, out of memory). Its games would then keep running and their
folders would stay. The watchdog prevents this. Its standard input is a pipe from the runner, and
the kernel closes the pipe when the runner ends for any reason.

The runner itself cannot use the kernel's signal at a parent's death (PR_SET_PDEATHSIG). The signal
is sent when the *thread* that started the child ends. It has to be set between fork and exec, which
is unsafe in a process with threads. And it removes no folder. The watchdog has one thread, so it
uses this signal to end the game if the watchdog itself is killed.

The watchdog is not a child of the runner, because a Ray worker kills its children when it ends, and
the watchdog still has to clean up then.

The watchdog prints a line with the game's process id. The game's output goes to a file in its
folder. At the end the watchdog prints the exit status and the last lines of that file. No other
process holds its standard output, so the reader knows that the cleanup is complete when the output
is closed.
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
LAST_LINES = 4  # a fatal error takes the game several lines
BACKTRACE = "[0x"
PR_SET_PDEATHSIG = 1


def main(libraries: str, command: list[str]) -> None:
    """Runs the command in a temporary folder until it ends or standard input is closed."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _leave)
    folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX)
    try:
        log = os.path.join(folder, "output.log")
        try:
            game = _start(libraries, [*command, "-tempDir", folder + "/"], log)
        except OSError as error:
            print(f"\n{error}", flush=True)
            return
        try:
            print(game.pid, flush=True)
            if _wait_for_either(game):
                print(f"exit status {game.returncode}{_last_lines(log)}", flush=True)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(game.pid, signal.SIGKILL)
            game.wait()
    finally:
        shutil.rmtree(folder)


def _start(libraries: str, command: list[str], log: str) -> subprocess.Popen:
    folders = filter(None, [libraries, os.environ.get("LD_LIBRARY_PATH")])
    with open(log, "wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LD_LIBRARY_PATH": ":".join(folders)},
            start_new_session=True,
            preexec_fn=_die_with_the_watchdog,
        )


def _wait_for_either(game: subprocess.Popen) -> bool:
    """Waits for the first of two events: True = the game ended, False = the input was closed."""
    # The end of a child is a signal. Python writes each signal's number into the pipe.
    signals, into = os.pipe()
    os.set_blocking(into, False)
    signal.set_wakeup_fd(into)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    while game.poll() is None:
        ready, _, _ = select.select([sys.stdin, signals], [], [])
        if sys.stdin in ready:
            return False
        os.read(signals, 1)
    return True


def _die_with_the_watchdog() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _last_lines(log: str) -> str:
    with open(log, errors="replace") as output:
        lines = [line.strip() for line in output if line.strip() and BACKTRACE not in line]
    return f": {' '.join(lines[-LAST_LINES:])}" if lines else ""


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    if os.fork() == 0:  # the parent ends at once, so the runner is not this process's parent
        main(sys.argv[1], sys.argv[2:])
