"""Request bodies: read whole, unpacked, never larger than the limit."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from interlock.emulator.rpc import invalid

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

LARGEST_BODY = 10 * 1024 * 1024  # bytes, packed and unpacked; the service's limit on a prediction request
_GZIP = zlib.MAX_WBITS | 16


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class TooLarge(Exception):
    """The body is beyond the limit."""


def header(scope: Scope, name: bytes) -> str:
    """A request header by its lower-case name, '' if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The body of a request, unpacked if it came as gzip."""
    chunks = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > LARGEST_BODY:
            raise TooLarge
        chunks.append(chunk)
        more = message.get("more_body", False)
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    encoding = header(scope, b"content-encoding").lower()
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise invalid(f"content-encoding {encoding!r} is not served; send gzip, or none")
    return _unpack(body)


def _unpack(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        content = unpacker.decompress(body, LARGEST_BODY + 1)
    except zlib.error as error:
        raise invalid(f"request body is not gzip: {error}") from error
    if len(content) > LARGEST_BODY:
        raise TooLarge
    if not unpacker.eof:
        raise invalid("request body ends in the middle of its gzip stream")
    return content
