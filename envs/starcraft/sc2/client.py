"""Requests to a game and its answers: one websocket, one protobuf message each way.

Of burnysc2 only the message classes are used. Its own client waits for the answer even when it
is cancelled, so a game that hangs would hang its caller; it writes every message to a log; and
its process class sets signal handlers, which are not ours to set in an env runner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
from google.protobuf.message import DecodeError
from s2clientprotocol import sc2api_pb2 as sc_pb

from envs.starcraft.sc2.errors import GameError, NotListeningError

RETRY_SECONDS = 0.1


class GameClient:
    """A connection to a game; see ``connect``."""

    def __init__(
        self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self._session = session
        self._socket = socket
        self._in_step = True  # every request that was sent has been answered

    @classmethod
    async def connect(
        cls, url: str, time_limit_s: float, check_running: Callable[[], None]
    ) -> GameClient:
        """Connects to a game that is starting up, trying again until it listens.

        Args:
            url: The websocket's address.
            time_limit_s: How long to try.
            check_running: Raises GameError if the game has ended.

        Raises:
            GameError: The game ended, or does not listen within the time limit.
        """
        session = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(time_limit_s):
                while True:
                    check_running()
                    try:
                        socket = await session.ws_connect(url, max_msg_size=0)
                    except (aiohttp.ClientError, OSError):
                        await asyncio.sleep(RETRY_SECONDS)
                    else:
                        return cls(session, socket)
        except TimeoutError:
            await session.close()
            raise NotListeningError(f"no websocket at {url} within {time_limit_s:g} s") from None
        except BaseException:
            await session.close()
            raise

    async def ask(self, *requests: sc_pb.Request, time_limit_s: float) -> list[sc_pb.Response]:
        """Sends requests in one go and waits for the answer to each.

        The protocol asks for it: a game that need not wait for its next request is fastest.

        Args:
            *requests: What to ask.
            time_limit_s: How long to wait for each answer.

        Raises:
            GameError: The connection is lost, an answer does not come in time, or says that the
                request was refused.
        """
        if not self._in_step:
            raise GameError("an earlier request was cut off")
        self._in_step = False
        kinds = [request.WhichOneof("request") for request in requests]
        try:
            for request in requests:
                await self._socket.send_bytes(request.SerializeToString())
            answers = []
            for kind in kinds:
                async with asyncio.timeout(time_limit_s):
                    message = await self._socket.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    raise GameError(f"the connection was lost at request {kind!r}")
                answers.append(sc_pb.Response.FromString(message.data))
        except TimeoutError:
            raise GameError(f"no answer to request {kind!r} within {time_limit_s:g} s") from None
        except (aiohttp.ClientError, OSError, DecodeError) as error:
            raise GameError(f"the connection was lost: {error!r}") from error
        self._in_step = True
        for kind, answer in zip(kinds, answers, strict=True):
            _check(kind, answer)
        return answers

    async def close(self) -> None:
        """Ends the connection."""
        await self._session.close()


def _check(kind: str | None, answer: sc_pb.Response) -> None:
    """Raises GameError if the answer is an error.

    A refused request has no answer of its kind, only errors; beside an answer they are warnings.
    Some kinds of answer have an error of their own.
    """
    if answer.WhichOneof("response") != kind:
        raise GameError(f"request {kind!r} was refused: {'; '.join(answer.error)}")
    body = getattr(answer, kind) if kind else None
    if body is not None and "error" in body.DESCRIPTOR.fields_by_name and body.HasField("error"):
        name = type(body).Error.Name(body.error)
        raise GameError(f"request {kind!r} was refused: {name} {body.error_details}".rstrip())
