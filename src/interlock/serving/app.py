"""The ASGI application: routes, headers, error bodies, back-pressure.

Request and answer: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
Under ``/v2`` the Open Inference Protocol, see :mod:`interlock.serving.inference`. The predict route takes both
kinds of body, because rawPredict hands it whatever the caller sent.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from itertools import count
from time import perf_counter
from typing import Any, Final, NamedTuple

import msgspec

from interlock.errors import InputError
from interlock.serving.answers import answers_of
from interlock.serving.decode import MAX_BODY_BYTES, Decoder, RequestRefused
from interlock.serving.errors import error_body
from interlock.serving.inference import InferenceCodec
from interlock.serving.metrics import CONTENT_TYPE, Metrics
from interlock.serving.model import Model
from interlock.serving.prediction_log import PredictionLog
from interlock.serving.rows import Row

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

# Bodies that are being received, together. More are refused before they are read, with 503.
MAX_PENDING_BYTES: Final = 64_000_000

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_JSON = b"application/json"
# Answers after which the same request may succeed.
RETRY: Final = (429, 503)
_REFUSED = {400: "bad input", 404: "not found", 405: "not found", 413: "too large", 429: "busy", 503: "busy"}


class Answer(NamedTuple):
    """Status and body of a response; ``allow`` names the methods with 405, ``closing`` ends the connection."""

    status: int
    body: bytes
    content_type: bytes = _JSON
    allow: bytes = b""
    closing: bool = False


class Identity(NamedTuple):
    """What a request says of itself: length as announced, id (given or made), trace (valid or empty)."""

    announced: bytes
    request_id: bytes
    trace: bytes


class ClientGone(InputError):
    """The client closed the connection before its request was complete."""


class App:
    """Serves one loaded, warmed model. Predictions run on the event loop: each takes microseconds."""

    def __init__(
        self, model: Model, *, version: str, health_route: str, predict_route: str,
        metrics: Metrics | None = None, log: PredictionLog | None = None,
    ) -> None:  # fmt: skip
        name = model.manifest.name
        self._score = model.score_rows
        self._answers = answers_of(model.signature, version)
        self.rows = Decoder(model.signature).rows
        self._codec = InferenceCodec(model.signature, name=name, version=version, outputs=self._answers.tensors([]))
        self._encode = msgspec.json.Encoder().encode
        self.metrics = metrics or Metrics(
            model_name=name, model_version=version, model_sha256=model.manifest.model_sha256, engine=model.engine
        )
        self._log = log
        self._pages = {
            health_route: ("health", b'{"status":"ready"}'),
            "/v2/health/live": ("health", b'{"live":true}'),
            "/v2/health/ready": ("health", b'{"ready":true}'),
            "/v2": ("other", self._encode({"name": "interlock", "version": version, "extensions": []})),
        }
        self.predict_route = predict_route
        self._predictions = {predict_route: "predict"}
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            self._pages[path] = ("other", self._codec.metadata())
            self._pages[f"{path}/ready"] = ("health", self._encode({"name": name, "ready": True}))
            self._predictions[f"{path}/infer"] = "infer"
        self.version_header = (b"x-interlock-version", version.encode())
        self._id_prefix = secrets.token_hex(4).encode() + b"-"
        self._ids = count(1)
        self._pending_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        started = perf_counter()
        path = scope["path"]
        route = self._predictions.get(path, "")
        identity = self.identify(scope["headers"])
        answer = Answer(500, b"")
        body = b""
        self.metrics.in_flight += 1
        try:
            if route and scope["method"] == "POST":
                try:
                    body = await self._read_body(identity.announced, receive)
                    answer = self.answer(body, route)
                except RequestRefused as refusal:
                    # Whoever asked to be told before sending a body never sends it now: what follows would be taken
                    # for that body. Others are still sending, and would miss the answer if this was the end.
                    closing = any(name == b"expect" for name, _ in scope["headers"])
                    answer = self.refusal(refusal.code, str(refusal))._replace(closing=closing)
            else:
                route, answer = self._page(path, scope["method"])
            await self._send(answer, identity, send)
        except ClientGone:
            answer = Answer(499, b"")
            self.metrics.refuse("client gone")
        finally:
            self.metrics.in_flight -= 1
            self.finished(route, answer, identity, body, started)

    def identify(self, headers: Headers) -> Identity:
        """The caller's request id if it is short printable ASCII, else a new one."""
        announced = request_id = trace = b""
        for key, value in headers:
            if key == b"content-length":
                announced = value
            elif key == b"x-request-id":
                request_id = value
            elif key == b"traceparent" and _TRACE.fullmatch(value):
                trace = value
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = self._id_prefix + b"%d" % next(self._ids)
        return Identity(announced, request_id, trace)

    def answer(self, body: bytes, route: str = "predict") -> Answer:
        """Answer to a complete prediction request."""
        try:
            return Answer(200, self.predict(body) if route == "predict" else self.infer(body))
        except RequestRefused as refusal:
            return self.refusal(refusal.code, str(refusal))

    def finished(self, route: str, answer: Answer, identity: Identity, body: bytes, started: float) -> None:
        """Count an answered request, and log a prediction."""
        seconds = perf_counter() - started
        self.metrics.observe(route, answer.status, seconds)
        if answer.status == 500:
            self.metrics.refuse("internal")
        if self._log is not None and answer.status == 200 and body:
            self._log.add(identity.request_id, identity.trace, seconds, body, answer.body)

    def predict(self, body: bytes) -> bytes:
        """Request body -> response body; :class:`RequestRefused` if it cannot be answered."""
        try:
            rows = self.rows(body)
        except RequestRefused as refusal:
            if str(refusal) == "field 'instances' is required, but missing" and b'"inputs"' in body:
                return self.infer(body)
            raise
        return self.predictions(self.score(rows)).body

    def score(self, rows: list[Row]) -> list[Any]:
        """Probabilities of class 1, lists of the probabilities of every class, or values."""
        scores: list[Any] = self._score(rows).tolist()
        return scores

    def predictions(self, scores: list[Any]) -> Answer:
        """The answer to one request, counted."""
        self.metrics.scored(self._answers.counted(scores))
        return Answer(200, self._encode({"predictions": self._answers.predictions(scores)}))

    def infer(self, body: bytes) -> bytes:
        """The same for a body of the Open Inference Protocol."""
        rows, request_id = self._codec.rows(body)
        scores = self.score(rows)
        self.metrics.scored(self._answers.counted(scores))
        return self._codec.answer(self._answers.tensors(scores), request_id)

    def _page(self, path: str, method: str) -> tuple[str, Answer]:
        """Everything but predictions: the route for the metrics, and the answer."""
        if path in self._predictions:
            return self._predictions[path], self._wrong_method("POST")
        route, content = self._pages.get(path, ("metrics", b"") if path == "/metrics" else ("", b""))
        if not route:
            paths = ", ".join(sorted({*self._pages, *self._predictions, "/metrics"}))
            return "other", self.refusal(404, f"no such path; this server has {paths}")
        if method not in ("GET", "HEAD"):
            return route, self._wrong_method("GET", "HEAD")
        if route == "metrics":
            return route, Answer(200, self.metrics.render(), CONTENT_TYPE)
        return route, Answer(200, content)

    def _wrong_method(self, *allowed: str) -> Answer:
        refusal = self.refusal(405, f"this path takes {' and '.join(allowed)} only")
        return refusal._replace(allow=", ".join(allowed).encode())

    def refusal(self, code: int, message: str) -> Answer:
        """An error body, counted."""
        self.metrics.refuse(_REFUSED[code])
        return Answer(code, error_body(code, message))

    async def _send(self, answer: Answer, identity: Identity, send: Send) -> None:
        headers = [
            (b"content-type", answer.content_type),
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-request-id", identity.request_id),
            self.version_header,
        ]
        if identity.trace:
            headers.append((b"traceparent", identity.trace))
        if answer.allow:
            headers.append((b"allow", answer.allow))
        if answer.status in RETRY:
            headers.append((b"retry-after", b"1"))
        if answer.closing:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _read_body(self, announced: bytes, receive: Receive) -> bytes:
        """The whole body. :class:`RequestRefused` as soon as it is known to be too long, or one too many."""
        if announced.isdigit() and int(announced[:20]) > MAX_BODY_BYTES:
            raise _too_long()
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            return _checked(message["body"])
        parts: list[bytes] = []
        length = 0
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise ClientGone("the client closed the connection before its request was complete")
                part = message.get("body", b"")
                parts.append(part)
                length += len(part)
                self._pending_bytes += len(part)
                if length > MAX_BODY_BYTES:
                    raise _too_long()
                if self._pending_bytes > MAX_PENDING_BYTES:
                    raise RequestRefused(503, f"more than {MAX_PENDING_BYTES} bytes of requests are being received")
                if not message.get("more_body", False):
                    return b"".join(parts)
                message = await receive()
        finally:
            self._pending_bytes -= length


def _checked(body: bytes) -> bytes:
    if len(body) > MAX_BODY_BYTES:
        raise _too_long()
    return body


def _too_long() -> RequestRefused:
    return RequestRefused(413, f"the body is longer than {MAX_BODY_BYTES} bytes: split the batch")
