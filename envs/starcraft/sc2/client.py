"""The client of a game: sends protobuf requests over a websocket and receives the responses.

It uses only the message classes of burnysc2. burnysc2's own client waits for a response even when
it is cancelled, so a game that hangs would block the caller, and it logs every message. Its process
class sets signal handlers, which an env runner must not do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import aiohttp
from google.protobuf.message import DecodeError
from s2clientprotocol import sc2api_pb2 as sc_pb

from .errors import GameError, NotListeningError

RETRY_SECONDS = 0.1
CLOSE_SECONDS = 0.1  # for the game to close its end of the connection too
QUIT = sc_pb.Request(quit=sc_pb.RequestQuit())


class GameClient:
    """A connection to a game; see ``connect``."""

    def __init__(
        self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self._session = session
        self._socket = socket
        self._is_synchronised = True  # every request has had its response

    @classmethod
    async def connect(
        cls, url: str, time_limit_s: float, check_starting: Callable[[], None]
    ) -> GameClient:
        """Connects to a game that is starting up. Retries until the game listens.

        Args:
            url: The websocket's address.
            time_limit_s: The longest time to retry.
            check_starting: Raises GameError if the game has ended or cannot be the one that
                answers at the address.

        Raises:
            GameError: As ``check_starting``, or the game does not listen within the time limit.
        """
        session = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(time_limit_s):
                while True:
                    check_starting()
                    try:
                        socket = await session.ws_connect(
                            url,
                            max_msg_size=0,
                            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                        )
                    except (aiohttp.ClientError, OSError):
                        await asyncio.sleep(RETRY_SECONDS)
                    else:
                        client = cls(session, socket)
                        try:
                            check_starting()  # another process may have been faster
                        except GameError:
                            await client.close()
                            raise
                        return client
        except TimeoutError:
            await session.close()
            raise NotListeningError(f"no websocket at {url} within {time_limit_s:g} s") from None
        except BaseException:
            await session.close()
            raise

    async def ask(self, *requests: sc_pb.Request, time_limit_s: float) -> list[sc_pb.Response]:
        """Sends all requests at once, then waits for the response to each.

        The game is fastest this way, because it does not wait between requests.

        Args:
            *requests: The requests.
            time_limit_s: The longest time to wait for each response.

        Raises:
            GameError: The connection is lost, a response does not arrive in time, or the game
                refuses a request.
        """
        if not self._is_synchronised:
            raise GameError("an earlier request was cancelled")
        self._is_synchronised = False
        kinds = [request.WhichOneof("request") for request in requests]
        try:
            for request in requests:
                await self._socket.send_bytes(request.SerializeToString())
            responses = []
            for kind in kinds:
                async with asyncio.timeout(time_limit_s):
                    message = await self._socket.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    raise GameError(f"the connection was lost at request {kind!r}")
                responses.append(sc_pb.Response.FromString(message.data))
        except TimeoutError:
            raise GameError(f"no answer to request {kind!r} within {time_limit_s:g} s") from None
        except (aiohttp.ClientError, OSError, DecodeError) as error:
            raise GameError(f"the connection was lost: {error!r}") from error
        self._is_synchronised = True
        for kind, response in zip(kinds, responses, strict=True):
            _check(kind, response)
        return responses

    async def quit(self) -> bool:
        """Asks the game to end, and returns whether it could be asked."""
        if not self._is_synchronised:  # it hangs, or is busy
            return False
        self._is_synchronised = False  # it need not answer
        # It may have ended already.
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self._socket.send_bytes(QUIT.SerializeToString())
        return True

    async def close(self) -> None:
        """Closes the connection."""
        await self._socket.close()
        await self._session.close()


def _check(kind: str | None, response: sc_pb.Response) -> None:
    """Raises GameError if the response is an error.

    The response to a refused request has no body of the request's kind, only errors. Errors beside
    a body are warnings. Some kinds of body have an error field of their own. The body of a response
    to ``debug`` is empty, so it may be missing.
    """
    answered = response.WhichOneof("response")
    if kind == "debug" and answered is None and not response.error:
        return
    if answered != kind:
        raise GameError(f"request {kind!r} was refused: {'; '.join(response.error)}")
    body = getattr(response, kind) if kind else None
    if body is not None and "error" in body.DESCRIPTOR.fields_by_name and body.HasField("error"):
        name = type(body).Error.Name(body.error)
        raise GameError(f"request {kind!r} was refused: {name} {body.error_details}".rstrip())
