"""Connections nobody uses are closed after the keep-alive time; here one second, in a server of our own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import uvicorn
from uvicorn.server import ServerState

from interlock.serving.app import App
from interlock.serving.direct import Batch, DirectProtocol
from interlock.serving.model import load_model
from interlock.serving.protocol import Guard

BODY = b'{"instances":[{"distance":1}]}'
SHORT = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
LONG = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
KEEP_ALIVE_SECONDS = 1


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 200")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await asyncio.wait_for(reader.readexactly(length), 10)


async def idle_and_busy(app: App) -> None:
    config = uvicorn.Config(app, ws="none", lifespan="off", timeout_keep_alive=KEEP_ALIVE_SECONDS, log_config=None)
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()
    guard, batch = Guard(app.metrics, 100, 20), Batch(app, 100)

    def accepted() -> DirectProtocol:
        return DirectProtocol(config=config, server_state=state, app_state={}, guard=guard, batch=batch)

    server = await loop.create_server(accepted, "127.0.0.1", 0)
    watch = asyncio.create_task(guard.watch(state.connections))
    port = server.sockets[0].getsockname()[1]
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    busy = await asyncio.open_connection("127.0.0.1", port)
    for (reader, writer), requests in zip(silent, ([SHORT], [LONG], [SHORT, LONG, SHORT]), strict=True):
        for request in requests:
            await ask(reader, writer, request)
    started = loop.time()
    while loop.time() - started < 2.5 * KEEP_ALIVE_SECONDS:
        await ask(*busy, SHORT)
        await asyncio.sleep(KEEP_ALIVE_SECONDS / 4)
    for reader, writer in silent:
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
    await ask(*busy, LONG)
    busy[1].close()
    watch.cancel()
    server.close()


def test_silent_connections_are_closed_and_busy_ones_are_kept(model: Path) -> None:
    app = App(load_model(model, fast=True), version="7", health_route="/health", predict_route="/predict")
    asyncio.run(idle_and_busy(app))
