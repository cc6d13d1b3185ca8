"""List calls: filter, orderBy, pageSize, pageToken, readMask (https://google.aip.dev/132, /157, /158, /160)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interlock.emulator.filters import camel, field_of, parse_filter
from interlock.emulator.rpc import Document, invalid

_DEFAULT_PAGE = 100
_LARGEST_PAGE = 1000


def page(documents: list[Document], query: Mapping[str, str], key: str) -> Document:
    """One page of ``documents`` as the answer of a list call: ``{key: [...], "nextPageToken": …}``."""
    matches = parse_filter(query.get("filter", ""))
    chosen = order([document for document in documents if matches(document)], query.get("orderBy", ""))
    start = _number("pageToken", query.get("pageToken", ""), 0)
    size = min(_number("pageSize", query.get("pageSize", ""), 0) or _DEFAULT_PAGE, _LARGEST_PAGE)
    mask = query.get("readMask", "")
    answer: Document = {key: [read_masked(document, mask) for document in chosen[start : start + size]]}
    if start + size < len(chosen):
        answer["nextPageToken"] = str(start + size)
    return answer


def order(documents: list[Document], order_by: str) -> list[Document]:
    """Sort by ``field [desc][, field …]``; '' keeps the order given."""
    for term in reversed([term for term in order_by.split(",") if term.strip()]):
        match term.split():
            case [field, ("asc" | "desc") as direction]:
                descending = direction == "desc"
            case [field]:
                descending = False
            case _:
                raise invalid(f"orderBy {order_by!r}: write `field` or `field desc`, separated by commas")
        documents = sorted(documents, key=lambda doc: str(field_of(doc, field) or ""), reverse=descending)
    return documents


def read_masked(document: Document, mask: str) -> Document:
    """The fields of ``document`` that ``mask`` names, and its name; '' and ``*`` are all of it."""
    paths = [path.strip() for path in mask.split(",") if path.strip()]
    if not paths or "*" in paths:
        return document
    result: Document = {"name": document["name"]} if "name" in document else {}
    for path in paths:
        _copy(document, result, [camel(part) for part in path.split(".")])
    return result


def _copy(source: Any, target: Document, path: list[str]) -> None:
    head, *rest = path
    if not isinstance(source, dict) or head not in source:
        return
    if rest and isinstance(source[head], dict):
        _copy(source[head], target.setdefault(head, {}), rest)
    elif not rest:
        target[head] = source[head]


def _number(what: str, text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise invalid(f"{what} {text[:40]!r} is not a number of 0 or more")
    return int(text)
