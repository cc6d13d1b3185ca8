"""Our own HTTP stack with a fixed answer: what a prediction costs beside it is the model and its JSON."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import uvicorn

from interlock.serving.metrics import Metrics
from interlock.serving.protocol import Guard, GuardedProtocol
from interlock.serving.server import uvicorn_config

BODY = b'{"predictions":[{"probability":0.1234567890123456,"label":1,"model_version":"7"}]}'
HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(BODY)),
    (b"x-request-id", b"0123456789"),
    (b"x-interlock-version", b"7"),
]


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    guard = Guard(Metrics(model_name="echo", model_version="7", model_sha256=""), 1000, 20)
    config = uvicorn_config(echo, partial(GuardedProtocol, guard=guard), 1)
    config.port = int(os.environ["PEER_PORT"])
    uvicorn.Server(config).run()
