"""A model server of thirty lines that keeps the contract of ``python -m interlock.serving``.

Told by variables of the container: ``TINY_FAIL`` (do not start), ``TINY_START`` (seconds before it listens),
``TINY_DELAY`` (seconds per request), ``TINY_NAN`` (predict not-a-number).
Answers each instance with the version it was started as; an instance ``"bad"`` is refused with 400, an
instance ``"exit"`` ends the process in the middle of the request.
"""

import asyncio
import json
import os
import socket
import sys
import time

import uvicorn

VERSION = os.environ["AIP_MODEL_VERSION"]
DELAY = float(os.environ.get("TINY_DELAY", "0"))


async def app(scope, receive, send):
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    status, answer = 200, {"status": "ok"}
    if scope["path"] == os.environ["AIP_PREDICT_ROUTE"]:
        await asyncio.sleep(DELAY)
        instances = json.loads(body)["instances"]
        if "exit" in instances:
            os._exit(7)
        if "bad" in instances:
            status, answer = 400, {"error": "instances[0] is bad"}
        else:
            answer = {"predictions": [{"version": VERSION, "pid": os.getpid()} for _ in instances]}
        if os.environ.get("TINY_NAN"):
            answer = {"predictions": [float("nan"), {"a": [float("-inf"), 1, "x"]}]}
    content = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(json.dumps({"ready": True, "port": sockets[0].getsockname()[1]}), flush=True)


if os.environ.get("TINY_FAIL"):
    sys.exit("tiny server: the model is broken")
time.sleep(float(os.environ.get("TINY_START", "0")))
listener = socket.create_server(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])))
Server(uvicorn.Config(app, lifespan="off", access_log=False, log_level="warning")).run(sockets=[listener])
