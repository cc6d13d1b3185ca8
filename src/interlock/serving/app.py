"""The ASGI application: routes, limits, headers, error bodies.

Request and answer: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from itertools import count
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from interlock.errors import InputError
from interlock.serving.decode import MAX_BODY_BYTES, Decoder, RequestRefused
from interlock.serving.metrics import CONTENT_TYPE, Metrics
from interlock.serving.model import Model

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

_STATUS = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "PAYLOAD_TOO_LARGE"}
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_JSON = b"application/json"


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """One answer: probability of class 1, label at the model's threshold, and the version that gave it."""

    probability: float
    label: int
    model_version: str


class Answer(NamedTuple):
    """Status and body of a response; ``allow`` names the methods with 405."""

    status: int
    body: bytes
    content_type: bytes = _JSON
    allow: bytes = b""


class ClientGone(InputError):
    """The client closed the connection before its request was complete."""


class App:
    """Serves one loaded, warmed model: predict, health, ``/metrics``. Predictions run on the event loop."""

    def __init__(self, model: Model, *, version: str, health_route: str, predict_route: str) -> None:
        self._model = model
        self._version = version
        self._decoder = Decoder(model.signature)
        self._encoder = msgspec.json.Encoder()
        self._routes = {"/metrics": "metrics", health_route: "health", predict_route: "predict"}
        self._metrics = Metrics(
            model_name=model.manifest.name, model_version=version, model_sha256=model.manifest.model_sha256
        )
        self._version_header = (b"x-interlock-version", version.encode())
        self._id_prefix = secrets.token_hex(4).encode() + b"-"
        self._ids = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        started = perf_counter()
        route = self._routes.get(scope["path"], "other")
        status = 500
        self._metrics.in_flight += 1
        try:
            answer = await self._answer(route, scope, receive)
            status = answer.status
            await self._send(answer, scope["headers"], send)
        except ClientGone:
            status = 499
        finally:
            self._metrics.in_flight -= 1
            self._metrics.observe(route, status, perf_counter() - started)

    async def _answer(self, route: str, scope: Scope, receive: Receive) -> Answer:
        method = scope["method"]
        if route == "other":
            return self._refusal(404, f"no such path; this server has {', '.join(sorted(self._routes))}")
        allowed = ("POST",) if route == "predict" else ("GET", "HEAD")
        if method not in allowed:
            refusal = self._refusal(405, f"this path takes {' and '.join(allowed)} only")
            return refusal._replace(allow=", ".join(allowed).encode())
        if route == "metrics":
            return Answer(200, self._metrics.render(), CONTENT_TYPE)
        if route == "health":
            return Answer(200, b'{"status":"ready"}')
        try:
            return Answer(200, self.predict(await _read_body(scope["headers"], receive)))
        except RequestRefused as refusal:
            return self._refusal(refusal.code, str(refusal))

    def predict(self, body: bytes) -> bytes:
        """Request body -> response body; :class:`RequestRefused` if it cannot be answered."""
        columns = self._decoder.decode(body)
        probabilities = self._model.score(columns)
        labels = self._model.labels(probabilities)
        self._metrics.instances += len(probabilities)
        predictions = [
            Prediction(probability, label, self._version)
            for probability, label in zip(probabilities.tolist(), labels.tolist(), strict=True)
        ]
        return self._encoder.encode({"predictions": predictions})

    def _refusal(self, code: int, message: str) -> Answer:
        error = {"code": code, "message": message, "status": _STATUS[code]}
        return Answer(code, self._encoder.encode({"error": error}))

    async def _send(self, answer: Answer, request_headers: Headers, send: Send) -> None:
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-request-id", self._request_id(request_headers)),
            self._version_header,
        ]
        if answer.allow:
            headers.append((b"allow", answer.allow))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _request_id(self, headers: Headers) -> bytes:
        """The caller's id if it is short printable ASCII, else a new one."""
        given = _header(headers, b"x-request-id")
        if _REQUEST_ID.fullmatch(given):
            return given
        return self._id_prefix + b"%d" % next(self._ids)


def _header(headers: Headers, name: bytes) -> bytes:
    for key, value in headers:
        if key == name:
            return value
    return b""


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    """The whole body. :class:`RequestRefused` 413 as soon as it is known to be too long."""
    announced = _header(headers, b"content-length")
    if announced.isdigit() and int(announced[:20]) > MAX_BODY_BYTES:
        raise _too_long()
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the client closed the connection before its request was complete")
        part = message.get("body", b"")
        length += len(part)
        if length > MAX_BODY_BYTES:
            raise _too_long()
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_long() -> RequestRefused:
    return RequestRefused(413, f"the body is longer than {MAX_BODY_BYTES} bytes: split the batch")
