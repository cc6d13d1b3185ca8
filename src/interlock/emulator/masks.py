"""Partial updates: ``updateMask`` over a JSON document (https://google.aip.dev/134)."""

from __future__ import annotations

import copy
from collections.abc import Collection

from interlock.emulator.filters import camel
from interlock.emulator.rpc import Document, invalid


def masked_update(current: Document, patch: Document, mask: str, mutable: Collection[str]) -> Document:
    """``current`` with the masked fields taken from ``patch``; a masked field absent there is cleared.

    An empty mask stands for the fields present in ``patch``, ``*`` for all mutable ones.
    """
    paths = [".".join(camel(part) for part in path.strip().split(".")) for path in mask.split(",") if path.strip()]
    if not paths:
        paths = [field for field in mutable if field in patch]
    if paths == ["*"]:
        paths = list(mutable)
    result = copy.deepcopy(current)
    for path in paths:
        head = path.partition(".")[0]
        if head not in mutable:
            raise invalid(f"updateMask: {path!r} cannot be changed; allowed: {', '.join(sorted(mutable))}")
        _take(result, patch, path.split("."))
    return result


def _take(target: Document, source: Document, path: list[str]) -> None:
    head, *rest = path
    if rest:
        inner = target.setdefault(head, {})
        given = source.get(head, {})
        if not isinstance(inner, dict) or not isinstance(given, dict):
            raise invalid(f"updateMask: {'.'.join(path)!r} goes into a field that is not a message")
        _take(inner, given, rest)
    elif head in source:
        target[head] = source[head]
    else:
        target.pop(head, None)
