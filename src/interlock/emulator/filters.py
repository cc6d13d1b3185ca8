"""The filter of a list call (https://google.aip.dev/160).

::

    filter     = either {"AND" either}
    either     = term {"OR" term}            as the AIP has it: a AND b OR c is a AND (b OR c)
    term       = ["NOT" | "-"] (comparison | "(" filter ")")
    comparison = field ("=" | "!=" | "<" | "<=" | ">" | ">=" | ":") value
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from interlock.emulator.rpc import Document, RpcError, invalid

Predicate = Callable[[Document], bool]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<comparison>(?P<field>[A-Za-z_][\w.-]*)\s*(?P<operator>!=|>=|<=|=|:|>|<)\s*
        (?P<literal>"(?:[^"\\]|\\.)*"|[^\s()"]+))
      |(?P<word>AND|OR|NOT)\b
      |(?P<sign>[-()])
    )\s*""",
    re.VERBOSE,
)


def camel(name: str) -> str:
    """``display_name`` -> ``displayName``; camel case stays."""
    head, *tail = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)


def parse_filter(text: str) -> Predicate:
    """``field=value AND (labels.key:* OR NOT state="X")`` as a predicate; '' holds always."""
    if not text.strip():
        return lambda _document: True
    try:
        return _Parser(text).parse()
    except RecursionError as error:
        raise invalid(f"filter of {len(text)} characters is nested too deep") from error


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._token: re.Match[str] | None = None
        self._token = self._read()

    def parse(self) -> Predicate:
        found = self._both()
        if self._token is not None:
            raise self._unexpected()
        return found

    def _read(self) -> re.Match[str] | None:
        if self._position >= len(self._text):
            return None
        token = _TOKEN.match(self._text, self._position)
        if token is None:
            self._token = None
            raise self._unexpected()
        self._position = token.end()
        return token

    def _unexpected(self) -> RpcError:
        column = (self._token.start() if self._token else self._position) + 1
        return invalid(f'filter {self._text!r}: expected field="value", AND, OR or NOT at column {column}')

    def _take(self, kind: str, value: str) -> bool:
        if self._token is not None and self._token[kind] == value:
            self._token = self._read()
            return True
        return False

    def _both(self) -> Predicate:
        parts = [self._either()]
        while self._take("word", "AND"):
            parts.append(self._either())
        return parts[0] if len(parts) == 1 else lambda document: all(part(document) for part in parts)

    def _either(self) -> Predicate:
        parts = [self._term()]
        while self._take("word", "OR"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else lambda document: any(part(document) for part in parts)

    def _term(self) -> Predicate:
        if self._take("word", "NOT") or self._take("sign", "-"):
            inner = self._term()
            return lambda document: not inner(document)
        if self._take("sign", "("):
            inner = self._both()
            if not self._take("sign", ")"):
                raise self._unexpected()
            return inner
        token = self._token
        if token is None or not token["comparison"]:
            raise self._unexpected()
        self._token = self._read()
        return _comparison(token["field"], token["operator"], token["literal"])


def _comparison(field: str, operator: str, literal: str) -> Predicate:
    wanted = re.sub(r"\\(.)", r"\1", literal[1:-1]) if literal.startswith('"') else literal
    present = operator == ":" and wanted == "*"

    def holds(document: Document) -> bool:
        value = field_of(document, field)
        if present:
            return value is not None
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
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

    return holds


def _matches(text: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text, re.DOTALL) is not None


def field_of(document: Document, path: str) -> Any:
    """The value at ``display_name`` or ``labels.team``; None where there is none."""
    value: Any = document
    for depth, part in enumerate(path.split(".")):
        if not isinstance(value, dict):
            return None
        # Label keys are the user's own and keep their underscores.
        value = value.get(camel(part) if depth == 0 else part, value.get(camel(part)))
    return value
