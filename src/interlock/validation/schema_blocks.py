"""A schema file changed without losing what a person wrote in it.

TFDV's text format drops comments and order when it is printed. Blocks whose meaning did not change keep their text;
changed ones are printed anew under their own comment; new ones go to the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from interlock.validation.schema import parse_schema, schema_text

NAMED = ("feature", "string_domain")  # what a schema holds by name


class Block(msgspec.Struct, kw_only=True):
    """A top-level entry of the file: the comment lines above it, and its own text."""

    comment: str = ""
    text: str = ""


def update_text(old_text: str, new: Any) -> str:
    """``old_text`` with what ``new`` (a ``Schema`` proto) says differently."""
    old = parse_schema(old_text)
    kept: list[str] = []
    seen: set[tuple[str, str]] = set()
    for block in blocks(old_text):
        kind, name = _identity(block.text)
        after = _find(new, kind, name)
        if after is None:
            kept.append(block.comment + block.text if kind not in NAMED else "")
            continue
        seen.add((kind, name))
        same = after == _find(old, kind, name)
        kept.append(block.comment + (block.text if same else _printed(kind, [after])))
    for kind in NAMED:
        kept += [_printed(kind, [each]) for each in getattr(new, kind) if (kind, each.name) not in seen]
    return "".join(kept)


def blocks(text: str) -> list[Block]:
    """The file in pieces, which together are the file."""
    found, current, depth = [], Block(), 0
    for line in text.splitlines(keepends=True):
        bare = _without_comment(line)
        if depth == 0 and not bare.strip():
            current.comment += line
            continue
        current.text += line
        depth += bare.count("{") - bare.count("}")
        if depth == 0:
            found.append(current)
            current = Block()
    return [*found, current] if current.comment else found


def _without_comment(line: str) -> str:
    """The line without comment and quoted text, for counting braces."""
    kept, quoted = [], ""
    for character in line:
        if quoted:
            quoted = "" if character == quoted else quoted
        elif character in "\"'":
            quoted = character
            kept.append("q")
        elif character == "#":
            break
        else:
            kept.append(character)
    return "".join(kept)


def _identity(text: str) -> tuple[str, str]:
    kind = text.partition("{")[0].strip() if "{" in text.partition(":")[0] else text.partition(":")[0].strip()
    if kind not in NAMED:
        return kind, ""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    return kind, str(getattr(text_format.Parse(text, schema_pb2.Schema()), kind)[0].name)


def _find(schema: Any, kind: str, name: str) -> Any:
    if kind not in NAMED:
        return None
    return next((each for each in getattr(schema, kind) if each.name == name), None)


def _printed(kind: str, entries: Iterable[Any]) -> str:
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()
    getattr(schema, kind).extend(entries)
    return schema_text(schema)
