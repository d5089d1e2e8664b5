"""The game as a process: a port for it, its start, its end."""

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

from envs.starcraft.sc2.errors import GameError
from envs.starcraft.sc2.installation import Installation

HOST = "127.0.0.1"
PORT_TRIES = 100
END_TIME_LIMIT_S = 10.0
NOTICE_SECONDS = 0.5  # the watchdog looks every 0.2 s
WATCHDOG = Path(__file__).with_name("watchdog.py")

logger = logging.getLogger(__name__)


class GameProcess:
    """A running game, which ends with ``end`` or with this process, however that ends.

    Args:
        installation: Which game to run.
    """

    def __init__(self, installation: Installation) -> None:
        self._reserved, self.port = reserve_port()
        command = [sys.executable, "-I", "-S", str(WATCHDOG)]
        try:
            # In a session of its own, so that a Ctrl-C in the terminal does not reach the watchdog
            # before the replay is saved. -I -S: it needs nothing but the standard library.
            self._launcher = subprocess.Popen(
                [*command, *installation.command(HOST, self.port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:  # no memory, or too many processes
            self._reserved.close()
            raise GameError(f"no process for a game: {error}") from error
        self._words = b""
        self._ended = False

    @property
    def url(self) -> str:
        """Where the game's websocket is."""
        return f"ws://{HOST}:{self.port}/sc2api"

    def check_running(self) -> None:
        """Raises GameError, with what the game said last, if it has ended."""
        if self._has_ended():
            words = self._words.decode(errors="replace").strip()
            raise GameError(f"the game's process ended: {words or 'without a word'}")

    async def check_ending(self) -> None:
        """``check_running``, once the watchdog has had time to notice."""
        await self._wait(NOTICE_SECONDS)
        self.check_running()

    async def end(self) -> None:
        """Ends the game and its folder; does nothing the second time."""
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
        """Whether the watchdog has closed its output, the last thing that it does."""
        stdout = self._launcher.stdout
        assert stdout is not None
        while not self._ended and select.select([stdout], [], [], 0.0)[0]:
            words = os.read(stdout.fileno(), 4096)
            self._words += words
            self._ended = not words
        return self._ended


def reserve_port() -> tuple[socket.socket, int]:
    """A TCP port for a game, and the socket that keeps it from our other games.

    Between the choice of a free port and the game's binding it, another game could be told the
    same one. So its number is taken as a UDP port as well, for as long as the game runs: the
    kernel gives each number to one holder only, in all processes, and takes it back when the
    holder dies.
    """
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
