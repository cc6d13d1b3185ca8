"""What keeps other web sites out of a console on loopback.

A page of another site can make the browser send requests here, and with DNS rebinding even under its own name. So:
the Host must be one of ours, and a write must come from our own page and carry the token of this process, which
another site cannot read.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# For what a pipeline wrote: no script, no request, an origin of its own.
FOREIGN_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # under no-referrer a browser says "Origin: null" with our own form
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def own_hosts(port: int) -> set[str]:
    """The values of Host under which a console on ``port`` answers."""
    names = ("127.0.0.1", "localhost", "[::1]")
    return {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())


def refused_read(headers: Mapping[str, str], hosts: set[str]) -> str:
    """Why a request is not answered, '' if it is."""
    host = headers.get("host", "")
    return "" if host in hosts else f"this console does not answer under the name {host or 'nothing'}"


def refused_write(headers: Mapping[str, str], hosts: set[str], given: str, token: str) -> str:
    """Why a change is not made, '' if it is. A browser names its page's origin with every POST."""
    origin = headers.get("origin", "")
    if origin and origin not in {f"http://{host}" for host in hosts}:
        return "the request comes from another site"
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return "the request comes from another site"
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "the form is of another console process: load the page again"
    return ""


class Guard:
    """ASGI middleware: no answer under a foreign name, and the headers above on every answer that lacks its own."""

    def __init__(self, app: ASGIApp, hosts: set[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        reason = refused_read(Headers(scope=scope), self._hosts)
        app = PlainTextResponse(reason, 421) if reason else self._app
        await app(scope, receive, send_guarded)
