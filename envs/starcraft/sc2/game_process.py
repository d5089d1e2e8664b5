"""The process of a game: its port, its start and its end."""

from __future__ import annotations

import asyncio
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
NOTICE_SECONDS = 0.5  # the watchdog polls every 0.2 s
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
                [*command, *installation.command(HOST, self.port)],
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
            output = self._output.decode(errors="replace").strip()
            raise GameError(f"the game's process ended: {output or 'no output'}")

    async def check_ending(self) -> None:
        """``check_running``, after the watchdog has had time to notice the end."""
        await self._wait(NOTICE_SECONDS)
        self.check_running()

    async def end(self) -> None:
        """Ends the game and removes its folder. A second call does nothing."""
        stdin, stdout = self._launcher.stdin, self._launcher.stdout
        assert stdin is not None
        assert stdout is not None
        if stdout.closed:
            return
        stdin.close()
        await self._wait(END_TIME_LIMIT_S)
        if not self._has_ended():
            logger.warning("a game on port %d did not end", self.port)
        stdout.close()
        self._launcher.wait()
        self._reserved.close()

    async def _wait(self, time_limit_s: float) -> None:
        deadline = time.monotonic() + time_limit_s
        while not self._has_ended() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

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
