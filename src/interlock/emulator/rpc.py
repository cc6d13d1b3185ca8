"""google.rpc status codes and the one exception that becomes an error body."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from interlock.errors import InterlockError

Document = dict[str, Any]


class Status(NamedTuple):
    """Number in ``google.rpc.Code`` and the HTTP status it travels with."""

    number: int
    http: int


# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
STATUSES = {
    "CANCELLED": Status(1, 499),
    "UNKNOWN": Status(2, 500),
    "INVALID_ARGUMENT": Status(3, 400),
    "DEADLINE_EXCEEDED": Status(4, 504),
    "NOT_FOUND": Status(5, 404),
    "ALREADY_EXISTS": Status(6, 409),
    "PERMISSION_DENIED": Status(7, 403),
    "RESOURCE_EXHAUSTED": Status(8, 429),
    "FAILED_PRECONDITION": Status(9, 400),
    "ABORTED": Status(10, 409),
    "UNIMPLEMENTED": Status(12, 501),
    "INTERNAL": Status(13, 500),
    "UNAVAILABLE": Status(14, 503),
    "UNAUTHENTICATED": Status(16, 401),
}
_STATUS_OF_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RpcError(InterlockError):
    """A call that is answered with an error. ``status`` is a key of :data:`STATUSES`."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def http(self) -> int:
        """HTTP status of the answer."""
        return STATUSES[self.status].http

    def as_status(self) -> Document:
        """As ``google.rpc.Status``, the form an operation carries."""
        return {"code": STATUSES[self.status].number, "message": self.message}


def error_body(http: int, message: str, status: str = "") -> bytes:
    """``{"error": {"code", "message", "status"}}``; ``status`` is derived from ``http`` when empty."""
    status = status or _STATUS_OF_HTTP.get(http, "INTERNAL" if http >= 500 else "INVALID_ARGUMENT")
    return msgspec.json.encode({"error": {"code": http, "message": message, "status": status}})


def invalid(message: str) -> RpcError:
    """The request is wrong, whatever the state: HTTP 400."""
    return RpcError("INVALID_ARGUMENT", message)


def not_found(name: str) -> RpcError:
    """The named resource does not exist: HTTP 404."""
    return RpcError("NOT_FOUND", f"{name} does not exist; list the collection to see what does")


def precondition(message: str) -> RpcError:
    """The request is right but the state forbids it: HTTP 400."""
    return RpcError("FAILED_PRECONDITION", message)


def already_exists(name: str) -> RpcError:
    """The id is taken: HTTP 409."""
    return RpcError("ALREADY_EXISTS", f"{name} already exists; choose another id or delete it first")


def check_etag(name: str, sent: str, current: str) -> None:
    """Refuse a stale etag; an absent one is a blind overwrite, as documented."""
    if sent and sent != current:
        raise RpcError("ABORTED", f"{name}: etag {sent!r} is stale, current is {current!r}; read it again and retry")
