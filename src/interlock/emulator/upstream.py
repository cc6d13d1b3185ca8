"""POST to one model server over kept-open connections: the hot path, a third of the cost of a general client.

::

    idle ──post──> busy ──answer──> idle ──4 s unused, or closed by the server──> gone
                     ├──connection lost──> CutOff
                     └──deadline──> TimeoutError, and the connection is dropped
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

import httptools

_IDLE_SECONDS = 4.0  # below the 5 s after which uvicorn closes, so that the server seldom closes first


class Unreachable(Exception):
    """No connection: nothing was sent."""


class CutOff(Exception):
    """The connection ended in the middle: the server may or may not have seen the request."""


class Reply(NamedTuple):
    """A server's answer."""

    status: int
    content_type: str
    body: bytes


class Upstream:
    """The predict route of a server on loopback ``port``."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: ".encode("latin-1")
        self._idle: list[_Connection] = []
        self._closed = False

    async def post(self, body: bytes, content_type: bytes, seconds: float) -> Reply:
        """The reply within ``seconds``; :class:`Unreachable`, :class:`CutOff` or ``TimeoutError``."""
        connection = self._take() or await self._connect()
        head = b"%b%b\r\ncontent-length: %d\r\n\r\n" % (self._head, content_type, len(body))
        try:
            reply = await connection.exchange(head + body, seconds)
        except BaseException:  # also when the client of this request has gone: what follows would be its answer
            connection.abort()
            raise
        if connection.reusable and not self._closed:
            self._idle.append(connection)
        else:
            connection.abort()
        return reply

    def close(self) -> None:
        """Drop the idle connections; busy ones go when their answer is there."""
        self._closed = True
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    def _take(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost and now - connection.used < _IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", self._port)
        except OSError as error:
            raise Unreachable(str(error)) from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection, one request at a time. The parser calls the ``on_…`` methods."""

    def __init__(self) -> None:
        self.lost = False
        self.reusable = False
        self.used = 0.0
        self._waiter: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    async def exchange(self, request: bytes, seconds: float) -> Reply:
        """Send, and wait for the reply."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Reply] = loop.create_future()
        self._waiter = waiter
        self._parser = httptools.HttpResponseParser(self)
        self._content_type = "application/json"
        self._chunks: list[bytes] = []
        self._until_end = True  # of the connection, unless a header gives the length
        deadline = loop.call_later(seconds, self._expire)
        try:
            if self.lost:
                raise CutOff
            self._transport.write(request)
            return await waiter
        finally:
            deadline.cancel()
            self._waiter = None
            self.used = loop.time()

    def abort(self) -> None:
        """Close at once."""
        if not self.lost:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:
            self._transport.abort()  # an answer to nothing
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(CutOff("the model server does not speak HTTP"))

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost = True
        if self._waiter is not None and self._chunks and self._until_end:
            self.on_message_complete()
        self._fail(CutOff("the model server closed the connection"))

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if lowered == b"content-type":
            self._content_type = value.decode("latin-1")
        elif lowered in (b"content-length", b"transfer-encoding"):
            self._until_end = False

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self.reusable = not self._until_end and self._parser.should_keep_alive() and not self.lost
            body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._waiter.set_result(Reply(self._parser.get_status_code(), self._content_type, body))

    def _expire(self) -> None:
        self._fail(TimeoutError())

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
