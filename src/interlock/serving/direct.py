"""The short way of an ordinary prediction: no task of its own, and one model call for all that arrived together.

::

    data ──llhttp──> head of a POST to the predict route, announced length <= DIRECT_BYTES, nothing before it in a task
                      │ yes                                             │ no
                      └─ body ─> batch ─> next turn of the event loop   └─> uvicorn: a task in the ASGI application
                                            ├─ one call of the model, every answer written
                                            └─ what came after max_waiting requests: 429

Nothing waits for a batch to fill: while the model is busy, requests gather in the sockets; the next turn of the loop
reads them all. Both ways share the parser, the limits, the application's code and its counts.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from interlock.serving.app import RETRY, Answer, App, Identity
from interlock.serving.decode import RequestRefused
from interlock.serving.protocol import GuardedProtocol
from interlock.serving.rows import Row

DIRECT_BYTES: Final = 65_536
# Rows of one model call. More would only keep the first answers waiting.
BATCH_ROWS: Final = 512


class _Ready(NamedTuple):
    """A complete request."""

    connection: DirectProtocol
    identity: Identity
    body: bytes
    keep_alive: bool
    started: float


class Batch:
    """What has arrived in this turn of the event loop, for all connections of the process."""

    def __init__(self, app: App, max_waiting: int) -> None:
        self.app = app
        self._max_waiting = max_waiting
        self._waiting: list[_Ready] = []

    def add(self, request: _Ready, loop: asyncio.AbstractEventLoop) -> None:
        """Answer ``request`` in the next turn."""
        if not self._waiting:
            loop.call_soon(self.answer)
        self._waiting.append(request)

    def answer(self) -> None:
        """Answer everything that waits, in order."""
        waiting, self._waiting = self._waiting, []
        refused = waiting[self._max_waiting :]
        del waiting[self._max_waiting :]
        done = 0
        try:
            while done < len(waiting):
                done += self._answer_some(waiting[done:])
        finally:  # an error of ours: the event loop logs it
            for request in waiting[done:]:
                request.connection.fail()
            for request in refused:
                message = f"more than {self._max_waiting} requests wait for the model: send again later"
                request.connection.send_answer(request, self.app.refusal(429, message))

    def _answer_some(self, waiting: list[_Ready]) -> int:
        """One model call for the first requests; how many have been answered."""
        rows: list[Row] = []
        parts: list[Answer | int] = []  # an answer, or how many rows are this request's
        for request in waiting:
            if len(rows) >= BATCH_ROWS:
                break
            try:
                own = self.app.rows(request.body)
            except RequestRefused:
                parts.append(self.app.answer(request.body))  # refused again, or not instances but tensors
            else:
                rows += own
                parts.append(len(own))
        probabilities = self.app.score(rows) if rows else []
        start = 0
        for request, part in zip(waiting, parts, strict=False):
            if isinstance(part, int):
                answer = self.app.predictions(probabilities[start : start + part])
                start += part
            else:
                answer = part
            request.connection.send_answer(request, answer)
        return len(parts)


class DirectProtocol(GuardedProtocol):
    """One connection."""

    def __init__(self, *args: Any, batch: Batch, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._batch = batch
        self._app = batch.app
        self._url = batch.app.predict_route.encode()
        self._identity: Identity | None = None  # of the request being received the short way
        self._parts: list[bytes] = []
        self._started = 0.0
        self._unanswered = 0
        self._last = False  # close after the answers that are due

    def on_headers_complete(self) -> None:
        """Choose the way."""
        if self.url == self._url and self._is_ordinary():
            identity = self._app.identify(self.headers)
            if identity.announced.isdigit() and int(identity.announced[:9]) <= DIRECT_BYTES:
                self.head_is_complete()
                self._identity = identity
                self._parts = []
                self._started = perf_counter()
                self._app.metrics.in_flight += 1
                return
        if self._unanswered:
            self._batch.answer()  # in order: a task might be faster
        super().on_headers_complete()

    def _is_ordinary(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return (
            self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
            and not self.flow.write_paused
            and (cycle is None or cycle.response_complete)
        )

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._identity is None:
            super().on_body(body)
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """Put a complete request into the batch."""
        if self._identity is None:
            super().on_message_complete()
            return
        self.message_is_complete()
        self._unanswered += 1
        body = b"".join(self._parts)
        request = _Ready(self, self._identity, body, self.parser.should_keep_alive(), self._started)
        self._identity = None
        self._batch.add(request, self.loop)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The answers that are due are sent, then it is closed."""
        if self._unanswered:
            self._last = True
            return True
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a request that was never completed."""
        super().connection_lost(exc)
        if self._identity is not None:
            self._identity = None
            self._app.metrics.in_flight -= 1
            self._app.metrics.refuse("client gone")

    def shutdown(self) -> None:
        """Close now, or after the answers to what was begun."""
        self._last = True
        if self._identity is None and not self._unanswered:
            super().shutdown()

    def refuse(self, status: int, message: str) -> None:
        """What was complete before is answered first."""
        if self._unanswered:
            self._batch.answer()
        super().refuse(status, message)

    def is_answered(self) -> bool:
        """A request of the short way is answered after its end only."""
        return self._identity is None and super().is_answered()

    def fail(self) -> None:
        """The answer to a request that made the server fail."""
        self._unanswered -= 1
        self._app.metrics.in_flight -= 1
        self._app.metrics.refuse("internal")
        self._app.metrics.observe("predict", 500, 0.0)
        super().refuse(500, "the server failed; nothing is wrong with the request")

    def send_answer(self, request: _Ready, answer: Answer) -> None:
        """Write one answer, unless the client has gone."""
        self._unanswered -= 1
        self._app.metrics.in_flight -= 1
        if self.transport.is_closing():
            self._app.metrics.refuse("client gone")
            return
        closing = not request.keep_alive or (self._last and not self._unanswered and self._identity is None)
        self.transport.write(b"".join(self._head(request.identity, answer, closing=closing)))
        self.server_state.total_requests += 1
        self._app.finished("predict", answer, request.identity, request.body, request.started)
        if closing:
            self.transport.close()
        self.answered()

    def _head(self, identity: Identity, answer: Answer, *, closing: bool) -> list[bytes]:
        """Status, headers and body."""
        parts = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(
            b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\nx-interlock-version: %b\r\n"
            % (len(answer.body), identity.request_id, self._app.version_header[1])
        )
        if identity.trace:
            parts.append(b"traceparent: %b\r\n" % identity.trace)
        if answer.status in RETRY:
            parts.append(b"retry-after: 1\r\n")
        parts += (b"connection: close\r\n\r\n" if closing else b"\r\n", answer.body)
        return parts
