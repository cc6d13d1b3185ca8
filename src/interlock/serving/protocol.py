"""What uvicorn leaves open: limits in time and size on what a client sends before the application sees it.

::

    connect ──> waiting for a request ──last byte──> answering ──> idle ──first byte──> waiting …
       │              │ request_seconds                  │           └── keep-alive time ──> close
       │ too many     └──> 408, close                    └── answer not taken in request_seconds ──> abort
       └──> 503, close

Refused with 400 and closed: what llhttp calls malformed (among it every way of giving a request two lengths), not
exactly one host, more than MAX_PIPELINED requests sent ahead; with 431: a head of more than MAX_HEAD_BYTES.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from interlock.serving.errors import error_body
from interlock.serving.metrics import Metrics

MAX_HEAD_BYTES: Final = 65_536
MAX_PIPELINED: Final = 32
_SWEEP_SECONDS: Final = 0.5


class Guard(msgspec.Struct):
    """Limits shared by the connections of one process."""

    metrics: Metrics
    max_connections: int
    request_seconds: float

    async def watch(self, connections: set[Any]) -> None:
        """Close connections that take too long; runs until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            self.metrics.connections = len(connections)
            for connection in list(connections):
                connection.check_time(now)


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, guard: Guard, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard
        self._in_head = True
        self._head_bytes = 0
        self._progress = False  # these bytes ended a head or a request
        self._waiting_since = inf
        self._idle_since = inf  # an answer of the short way: a timer for each would cost as much as its model call
        self._stuck_since = inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept, or refuse one connection too many."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        if len(self.connections) > self._guard.max_connections:
            self.refuse(503, f"more than {self._guard.max_connections} connections: try again later")

    def data_received(self, data: bytes) -> None:
        """Parse; the time of a request starts with its first byte."""
        if self._waiting_since == inf:
            self._waiting_since = self.loop.time()
            self._idle_since = inf
        self._progress = False
        super().data_received(data)
        if self._in_head and not self._progress:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.refuse(431, f"the request line and headers are longer than {MAX_HEAD_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers after a chunked body are dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request."""
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError(f"more than {MAX_PIPELINED} requests sent ahead")  # becomes a 400 in the parser
        self.head_is_complete()
        super().on_headers_complete()
        if self.parser.should_upgrade():  # to nothing: answered as plain HTTP, and what follows is not parsed
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The client has done its part."""
        self.message_is_complete()
        super().on_message_complete()

    def head_is_complete(self) -> None:
        """What follows is body. ValueError, which becomes a 400 in the parser, for a host too many or too few."""
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts != 1 and (hosts or self.parser.get_http_version() == "1.1"):
            raise ValueError(f"{hosts} hosts")
        self._in_head = False
        self._progress = True
        self._head_bytes = 0

    def message_is_complete(self) -> None:
        """What follows is another head."""
        self._in_head = self._progress = True
        self._waiting_since = inf

    def answered(self) -> None:
        """The client may be silent for the keep-alive time, unless it has begun another request."""
        if self._waiting_since == inf:
            self._idle_since = self.loop.time()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that only closed its sending side still gets the answers to its complete requests."""
        # The latest request of those sent ahead: its answer is the last one.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for what the parser does not take."""
        self.refuse(400, "the request is not well-formed HTTP/1.1")

    def check_time(self, now: float) -> None:
        """Close or abort if the client has had ``request_seconds`` and was not done."""
        limit = self._guard.request_seconds
        if self.transport.is_closing() or self.flow.write_paused:
            self._stuck_since = min(self._stuck_since, now)
            if now - self._stuck_since > limit:
                self._guard.metrics.refuse("slow reader")
                self.transport.abort()
            return
        self._stuck_since = inf
        if now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()
        if now - self._waiting_since <= limit:
            return
        if self._in_head and not self._head_bytes:
            self.transport.close()  # never sent a byte
        else:
            self.refuse(408, f"the request was not complete after {limit:g} seconds")

    def refuse(self, status: int, message: str) -> None:
        """Answer with an error and close."""
        if self.transport.is_closing():
            return
        self._guard.metrics.refuse(f"http {status}")
        if not self.is_answered():
            body = error_body(status, message)
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()

    def is_answered(self) -> bool:
        """Whether what is being received has its answer, or another answer is under way."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.response_started and not (self._in_head and cycle.response_complete)
