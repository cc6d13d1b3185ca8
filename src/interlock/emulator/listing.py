"""List calls: filter, orderBy, pageSize, pageToken (https://google.aip.dev/132, /158, /160)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from interlock.emulator.rpc import Document, invalid

_TERM = re.compile(r'\s*(NOT\s+|-)?([A-Za-z_][\w.-]*)\s*(!=|>=|<=|=|:|>|<)\s*("(?:[^"\\]|\\.)*"|[^\s()]+)\s*')
_AND = re.compile(r"AND\b\s*")
_DEFAULT_PAGE = 100
_LARGEST_PAGE = 1000

Predicate = Callable[[Document], bool]


def camel(name: str) -> str:
    """``display_name`` -> ``displayName``; camel case stays."""
    head, *tail = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)


def page(documents: list[Document], query: Mapping[str, str], key: str) -> Document:
    """One page of ``documents`` as the answer of a list call: ``{key: [...], "nextPageToken": …}``."""
    matches = parse_filter(query.get("filter", ""))
    chosen = order([document for document in documents if matches(document)], query.get("orderBy", ""))
    start = _number("pageToken", query.get("pageToken", ""), 0)
    size = min(_number("pageSize", query.get("pageSize", ""), 0) or _DEFAULT_PAGE, _LARGEST_PAGE)
    answer: Document = {key: chosen[start : start + size]}
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
        documents = sorted(documents, key=lambda doc: str(_field(doc, field) or ""), reverse=descending)
    return documents


def parse_filter(text: str) -> Predicate:
    """``field=value AND labels.key:* …`` as a predicate. OR and parentheses are INVALID_ARGUMENT."""
    terms: list[Predicate] = []
    position = 0
    while position < len(text.rstrip()):
        if terms:
            joint = _AND.match(text, position)
            if joint is None:
                raise invalid(f"filter {text!r}: only terms joined by AND are served, at column {position + 1}")
            position = joint.end()
        term = _TERM.match(text, position)
        if term is None:
            raise invalid(f'filter {text!r}: expected field="value" at column {position + 1}')
        terms.append(_predicate(bool(term[1]), term[2], term[3], term[4]))
        position = term.end()
    return lambda document: all(term(document) for term in terms)


def _predicate(negated: bool, field: str, operator: str, literal: str) -> Predicate:
    quoted = literal.startswith('"')
    wanted = re.sub(r"\\(.)", r"\1", literal[1:-1]) if quoted else literal
    present = operator == ":" and wanted == "*"

    def holds(document: Document) -> bool:
        value = _field(document, field)
        if present:
            return value is not None
        text = "" if value is None else str(value)
        compared = {
            "=": text == wanted or ("*" in wanted and _matches(text, wanted)),
            "!=": text != wanted,
            ":": wanted in value if isinstance(value, (list, dict)) else wanted in text,
            ">": text > wanted,
            "<": text < wanted,
            ">=": text >= wanted,
            "<=": text <= wanted,
        }
        return compared[operator]

    return (lambda document: not holds(document)) if negated else holds


def _matches(text: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text) is not None


def _field(document: Document, path: str) -> Any:
    value: Any = document
    for depth, part in enumerate(path.split(".")):
        if not isinstance(value, dict):
            return None
        # Label keys are the user's own and keep their underscores.
        value = value.get(camel(part) if depth == 0 else part, value.get(camel(part)))
    return value


def _number(what: str, text: str, default: int) -> int:
    if not text:
        return default
    if not text.isdigit():
        raise invalid(f"{what} {text!r} is not a number of 0 or more")
    return int(text)
