"""The ASGI application: HTTP in, one call, JSON out, errors as google.rpc bodies."""

from __future__ import annotations

import hmac
import inspect
import logging
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec

from interlock.emulator.body import LARGEST_BODY, ClientGone, Receive, Scope, TooLarge, header, read_body
from interlock.emulator.call import Call
from interlock.emulator.names import Location
from interlock.emulator.prediction import Answer, Prediction
from interlock.emulator.routes import Routes, match
from interlock.emulator.rpc import Document, RpcError, error_body, invalid
from interlock.emulator.surface import call_name

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_VERSIONS = ("v1", "v1beta1", "ui")  # REST clients poll operations under /ui
_OWN_NAMES = ("localhost", "[::1]")
_JSON = {"content-type": "application/json"}
log = logging.getLogger(__name__)


class Lifespan(Protocol):
    """What starts before the first request and ends after the last."""

    async def start(self) -> None:
        """Called once, before requests are taken."""

    async def stop(self) -> None:
        """Called once, after the last request."""


class App:
    """Vertex AI REST v1 of one project and location."""

    def __init__(
        self,
        location: Location,
        routes: Routes,
        prediction: Prediction,
        lifespan: Lifespan,
        *,
        token: str,
        servers: Callable[[], list[Document]],
    ) -> None:
        self._location = location
        self._routes = routes
        self._prediction = prediction
        self._lifespan = lifespan
        self._token = token
        self._servers = servers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
            return
        try:
            if scope["path"] != "/health" and not self._is_known(scope):
                raise RpcError("UNAUTHENTICATED", "send the emulator's token as Authorization: Bearer TOKEN")
            if not self._token and (reason := _of_a_web_page(scope)):
                raise RpcError("PERMISSION_DENIED", reason)
            body = await read_body(scope, receive)
            answer = await self._answer(scope, body)
        except ClientGone:
            return
        except RpcError as error:
            answer = Answer(error.http, error_body(error.http, error.message, error.status), _JSON)
        except TooLarge:
            answer = Answer(413, error_body(413, f"request body exceeds {LARGEST_BODY} bytes"), _JSON)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OSError, sqlite3.Error):
            # A defect of the emulator: the log has the trace, the client gets none.
            log.exception("%s %s", scope["method"], scope["path"])
            answer = Answer(500, error_body(500, "internal error of the emulator; its log has the cause"), _JSON)
        await _send_answer(answer, send)

    def _is_known(self, scope: Scope) -> bool:
        """Whether the request shows the token, if one is wanted."""
        given = header(scope, b"authorization").removeprefix("Bearer ") or header(scope, b"x-goog-api-key")
        return not self._token or hmac.compare_digest(given.encode(), self._token.encode())

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._lifespan.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._lifespan.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, body: bytes) -> Answer:
        method, path = scope["method"], scope["path"]
        parts = path.split("/", 6)
        if len(parts) < 7 or parts[1] not in _VERSIONS or parts[2] != "projects" or parts[4] != "locations":
            if path == "/health":
                # Anybody may ask whether it is well; what runs is for those who may ask for more.
                servers = {"servers": self._servers()} if self._is_known(scope) else {}
                return Answer(200, msgspec.json.encode({"status": "ok", **servers}), _JSON)
            raise _unimplemented(method, path)
        _, version, _, project, _, location, rest = parts
        self._location.check(project, location)
        if method == "POST" and rest.startswith("endpoints/"):
            if rest.endswith(":predict"):
                return await self._prediction.predict(rest[10:-8], body)
            if rest.endswith(":rawPredict"):
                content_type = header(scope, b"content-type") or "application/json"
                return await self._prediction.raw_predict(rest[10:-11], body, content_type)
        pattern, ids = match(rest)
        handler = self._routes.get((method, pattern))
        if handler is None:
            raise _unimplemented(method, f"/{version}/projects/*/locations/*/{pattern}", call_name(method, pattern))
        call = Call(
            version="v1" if version == "ui" else version,
            ids=ids,
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"))),
            body=_parse(body),
        )
        result = handler(call)
        document = await result if inspect.isawaitable(result) else result
        return Answer(200, msgspec.json.encode(document), _JSON)


def _of_a_web_page(scope: Scope) -> str:
    """Why this may be a page of another site that drives a browser here, '' if it is not. A token rules it out too.

    Browsers name a page's origin with every change, and with DNS rebinding the host is the page's own.
    """
    if header(scope, b"origin"):
        return "requests of web pages are not served: they carry an Origin; set INTERLOCK_TOKEN if they should be"
    host = header(scope, b"host").rpartition(":")[0] or header(scope, b"host")
    if host in _OWN_NAMES or host.startswith("127."):
        return ""
    return f"this emulator does not answer under the name {host[:80]!r}: ask 127.0.0.1, or set INTERLOCK_TOKEN"


def _unimplemented(method: str, path: str, name: str = "") -> RpcError:
    what = f"{name} ({method} {path})" if name else f"{method} {path}"
    return RpcError("UNIMPLEMENTED", f"{what} is not served by this emulator")


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise invalid(f"request body is not a JSON object: {error}") from error


async def _send_answer(answer: Answer, send: Send) -> None:
    headers = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in answer.headers.items()]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
