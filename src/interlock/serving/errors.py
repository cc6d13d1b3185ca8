"""Error bodies, as Google APIs write them: ``{"error": {"code": 400, "message": …, "status": …}}``."""

from __future__ import annotations

from typing import Final

import msgspec

STATUS: Final = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "DEADLINE_EXCEEDED",
    413: "PAYLOAD_TOO_LARGE",
    429: "RESOURCE_EXHAUSTED",
    431: "HEADERS_TOO_LARGE",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}

_encoder = msgspec.json.Encoder()


def error_body(code: int, message: str) -> bytes:
    """The body of an answer with HTTP status ``code``."""
    return _encoder.encode({"error": {"code": code, "message": message, "status": STATUS[code]}})
