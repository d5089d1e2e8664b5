"""The websocket, and the faults that concern the process."""

from __future__ import annotations

import asyncio
import os
import signal

from aiohttp import WSMsgType, web
from s2clientprotocol import sc2api_pb2 as sc_pb

from sc2_standin.faults import Faults
from sc2_standin.requests import Requests

FOREVER = 1e9


async def serve(host: str, port: int, requests: Requests, faults: Faults) -> None:
    """Answers until a quit request."""
    done = asyncio.Event()

    async def talk(connection: web.Request) -> web.WebSocketResponse:
        # Clients may send protobuf in text frames, as pysc2 does. The answers are binary.
        socket = web.WebSocketResponse(max_msg_size=0, decode_text=False)
        await socket.prepare(connection)
        async for message in socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                continue
            await _fail(faults, message.data)
            answer = requests.answer(message.data)
            if requests.status == sc_pb.quit:
                break
            await socket.send_bytes(answer.SerializeToString())
        if requests.status == sc_pb.quit:
            done.set()
        return socket

    if faults.strikes("deaf") is not None:
        await asyncio.sleep(FOREVER)
    await asyncio.sleep(faults.strikes("slow_start") or 0.0)
    application = web.Application()
    application.router.add_get("/sc2api", talk)
    runner = web.AppRunner(application, shutdown_timeout=0.0)
    await runner.setup()
    await web.TCPSite(runner, host, port, reuse_port=False).start()
    await done.wait()
    await _exit()  # at once, without the websocket's farewell


async def _fail(faults: Faults, message: bytes) -> None:
    """Fails if a fault is due at this step, or if the protocol's test command asks for it."""
    request = sc_pb.Request()
    try:
        request.ParseFromString(message)
    except Exception:
        return  # ``Requests`` answers it with an error
    for command in request.debug.debug:
        if command.HasField("test_process"):
            await asyncio.sleep(command.test_process.delay_ms / 1000)
            await {1: _hang, 2: _crash, 3: _exit}[command.test_process.test]()
    if request.WhichOneof("request") == "step":
        if faults.strikes("crash") is not None:
            await _crash()
        if faults.strikes("hang") is not None:
            await _hang()
        await asyncio.sleep(faults.strikes("late") or 0.0)


async def _hang() -> None:
    await asyncio.sleep(FOREVER)


async def _crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _exit() -> None:
    os._exit(0)
