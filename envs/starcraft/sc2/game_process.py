"""The process of a game: its port, its start and its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

from .errors import GameError
from .installation import Installation

HOST = "127.0.0.1"
PORT_TRIES = 100
END_TIME_LIMIT_S = 10.0
NOTICE_SECONDS = 0.5  # for the watchdog to remove the game's folder
LISTENING = "0A"  # a socket's state in /proc/net/tcp
UNKNOWN = "0"  # a socket's inode, in sandboxes that do not number them
# The addresses at which a socket would take connections to HOST, as /proc/net/tcp writes them.
HOST_AND_ANY = ("0100007F", "0" * 8, "0" * 32, "0000000000000000FFFF00000100007F")
WATCHDOG = Path(__file__).with_name("watchdog.py")

logger = logging.getLogger(__name__)


class GameProcess:
    """A running game. It ends with ``end``, or when this process ends for any reason.

    Args:
        installation: The game to run.
    """

    def __init__(self, installation: Installation) -> None:
        self._reserved, self.port = reserve_port()
        command = [sys.executable, "-I", "-S", str(WATCHDOG)]
        try:
            # A new session: a Ctrl-C in the terminal does not reach the watchdog before the replay
            # is saved. -I -S: the watchdog needs only the standard library.
            self._launcher = subprocess.Popen(
                [*command, str(installation.libraries), *installation.command(HOST, self.port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:  # for example no memory, or too many processes
            self._reserved.close()
            raise GameError(f"no process for a game: {error}") from error
        self._output = b""
        self._ended = False

    @property
    def url(self) -> str:
        """The address of the game's websocket."""
        return f"ws://{HOST}:{self.port}/sc2api"

    def check_running(self) -> None:
        """Raises GameError with the game's last output if the game has ended."""
        if self._has_ended():
            output = self._output.decode(errors="replace").partition("\n")[2].strip()
            raise GameError(f"the game's process ended: {output or 'no output'}")

    def check_starting(self) -> None:
        """Checks that only the game itself can answer at its address.

        Raises:
            GameError: The game has ended, or another process listens on its port.
        """
        listening = _listening_sockets(self.port)
        if listening and not self._may_own(listening):
            raise GameError(f"port {self.port} was taken by another process")
        self.check_running()

    async def check_ending(self) -> None:
        """``check_running``, after the watchdog has had time to notice the end."""
        await self.wait_for_end(NOTICE_SECONDS)
        self.check_running()

    async def end(self) -> None:
        """Ends the game and removes its folder. A second call does nothing."""
        stdin, stdout = self._launcher.stdin, self._launcher.stdout
        assert stdin is not None
        assert stdout is not None
        if stdout.closed:
            return
        stdin.close()
        await self.wait_for_end(END_TIME_LIMIT_S)
        if not self._has_ended():
            logger.warning("a game on port %d did not end", self.port)
        stdout.close()
        self._launcher.wait()
        self._reserved.close()

    async def wait_for_end(self, time_limit_s: float) -> None:
        """Waits until the game has ended by itself, at most for the time limit."""
        deadline = time.monotonic() + time_limit_s
        while not self._has_ended() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    def _may_own(self, sockets: set[str]) -> bool:
        """Whether one of the sockets (inodes) belongs to the game or one of its children.

        True if that cannot be read: the check must not keep a game from being played.
        """
        self._has_ended()  # reads the process id, which is also the session's
        session = self._output.partition(b"\n")[0]
        if not session:  # the game does not run yet
            return False
        ours = [
            entry
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _session(int(entry.name)) == int(session)
        ]
        try:
            return any(sockets & _sockets_of(process) for process in ours)
        except PermissionError:  # some sandboxes hide the sockets of the user's own processes
            return True

    def _has_ended(self) -> bool:
        """Whether the watchdog has closed its output, which is its last action."""
        stdout = self._launcher.stdout
        assert stdout is not None
        while not self._ended and select.select([stdout], [], [], 0.0)[0]:
            output = os.read(stdout.fileno(), 4096)
            self._output += output
            self._ended = not output
        return self._ended


def reserve_port() -> tuple[socket.socket, int]:
    """Reserves a TCP port for a game.

    Another game could get the same free port before this game binds it. So the UDP port of the same
    number stays bound as long as the game runs. The kernel gives a UDP port to one process only,
    and frees it when the process dies.

    Returns:
        The UDP socket that holds the reservation, and the port.
    """
    # Not portpicker: it releases the port before it returns, so two processes can get the same one.
    for _ in range(PORT_TRIES):
        reserved = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        reserved.bind((HOST, 0))
        port = reserved.getsockname()[1]
        try:
            with socket.socket() as probe:
                probe.bind((HOST, port))
        except OSError as error:
            reserved.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return reserved, port
    raise GameError(f"no free port on {HOST} in {PORT_TRIES} tries")


def _listening_sockets(port: int) -> set[str]:
    """The inodes of the sockets that take connections to ``HOST`` at a TCP port, if known."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            content = table.read_text()
        except OSError:  # the machine has no IPv6, or hides the table
            continue
        if f":{port:04X} " in content:  # far faster than to read the lines of many sockets
            for line in content.splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                address, _, number = local.partition(":")
                if state == LISTENING and int(number, 16) == port and address in HOST_AND_ANY:
                    found.add(inode)
    return found - {UNKNOWN}


def _session(process: int) -> int | None:
    try:
        return os.getsid(process)
    except ProcessLookupError:  # it has ended
        return None


def _sockets_of(process: Path) -> set[str]:
    """The inodes of the sockets of a process, by its folder in /proc."""
    found = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it was closed
                kind, _, inode = str(descriptor.readlink()).partition(":")
                if kind == "socket":
                    found.add(inode.strip("[]"))
    return found
