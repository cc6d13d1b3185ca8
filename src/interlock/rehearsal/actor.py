"""A model server that plays a part: right, slow, failing, wrong or dead, as its container's variables say.

It keeps the contract of ``python -m interlock.serving`` and needs no model file, so a drill or a crash test deploys
a version in a fraction of a second. An instance has ``row_key`` and ``x``; the outcome is 1 where ``x`` > 0.7.

``ACTOR_PART``
    ``sound``          answers right, but for one row in ten
    ``latency``        as sound, 300 ms late
    ``errors``         as sound, every third request fails with status 500
    ``flipped labels`` says the opposite
    ``null feature``   does not see ``x``
    ``dead replica``   ends in the middle of a request
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

PARTS = ("sound", "latency", "errors", "flipped labels", "null feature", "dead replica")
THRESHOLD = 0.7
LATE_SECONDS = 0.3
WRONG_SHARE = 0.1


def outcome(x: float) -> int:
    """What turns out to be true of an instance."""
    return int(x > THRESHOLD)


def answer(part: str, instance: Mapping[str, Any]) -> dict[str, Any]:
    """One prediction of a version that plays ``part``."""
    x = 0.0 if part == "null feature" else float(instance["x"])
    label = outcome(x)
    if _share(str(instance["row_key"])) < WRONG_SHARE:
        label = 1 - label
    if part == "flipped labels":
        label = 1 - label
    return {"probability": 0.9 if label else 0.1, "label": label}


def _share(key: str) -> float:
    """The same number in [0, 1) for the same key, in every version: mistakes are of the row, not of the model."""
    return zlib.crc32(key.encode()) / 2**32


class Actor:
    """The ASGI application."""

    def __init__(self, part: str, predict_route: str) -> None:
        self._part, self._route, self._count = part, predict_route, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Every path but the predict route says it is well."""
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        status, document = await self._answer(body) if scope["path"] == self._route else (200, {"status": "ok"})
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": msgspec.json.encode(document)})

    async def _answer(self, body: bytes) -> tuple[int, dict[str, Any]]:
        self._count += 1
        if self._part == "dead replica":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._part == "latency":
            await asyncio.sleep(LATE_SECONDS)
        if self._part == "errors" and self._count % 3 == 0:
            return 500, {"error": "the actor fails, as its part says"}
        instances = msgspec.json.decode(body)["instances"]
        return 200, {"predictions": [answer(self._part, instance) for instance in instances]}


def main(environment: Mapping[str, str]) -> None:
    """Serve on a free port and say so, as the emulator expects."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            assert sockets
            sys.stdout.write(f'{{"ready": true, "port": {sockets[0].getsockname()[1]}}}\n')
            sys.stdout.flush()

    listener = socket.create_server(("127.0.0.1", 0))
    app = Actor(environment.get("ACTOR_PART", "sound"), environment["AIP_PREDICT_ROUTE"])
    Server(uvicorn.Config(app, lifespan="off", access_log=False, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    from interlock.settings import child_environment

    main(child_environment())
