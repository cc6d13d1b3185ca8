"""One API call, taken apart.

``METHOD /version/projects/P/locations/L/collection/id…:verb?query`` with a JSON body. Services check bodies
against small structs that hold the fields they act on; other fields pass unread.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from interlock.emulator.rpc import Document, invalid

T = TypeVar("T")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed call. ``ids`` are the id segments after the location, left to right."""

    version: str
    ids: tuple[str, ...]
    query: dict[str, str]
    body: Document

    def typed(self, kind: type[T], body: object | None = None) -> T:
        """The body (or a part of it) checked against ``kind``; INVALID_ARGUMENT names the wrong field."""
        try:
            return msgspec.convert(self.body if body is None else body, type=kind)
        except msgspec.ValidationError as error:
            raise invalid(f"invalid request body: {error}") from error


def duration_seconds(text: str, default: float) -> float:
    """A proto3 JSON duration such as ``3.5s``; '' is ``default``."""
    if not text:
        return default
    if not re.fullmatch(r"\d+(\.\d+)?s", text):
        raise invalid(f"{text!r} is not a duration like '3.5s'")
    return float(text[:-1])
