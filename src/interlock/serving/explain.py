"""What is wrong with a request body, as one sentence naming instance and field."""

from __future__ import annotations

import re

from interlock.contracts import InputField

_MISMATCH = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_PATH = re.compile(r"\.instances\[(?P<index>\d+)\](?:\.(?P<name>.+)|\[(?P<position>\d+)\])?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_BYTE = re.compile(r"\(byte (\d+)\)")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[{}\[\],:]', re.DOTALL)

_WORDS = {"float": "number", "str": "text", "int": "number", "bool": "boolean"}

# Looking for the place is only worth it in bodies of ordinary size: it reads token by token.
_LOCATE_BYTES = 200_000
_SHOWN_CHARACTERS = 80


def explain_mismatch(message: str, inputs: list[InputField]) -> str:
    """Say a msgspec validation error in the words of the request."""
    match = _MISMATCH.fullmatch(message)
    what, path = (match["what"], match["path"] or "") if match else (message, "")
    instance = _PATH.fullmatch(path)
    index, name = None, ""
    if instance:
        index = int(instance["index"])
        name = instance["name"] or (inputs[int(instance["position"])].name if instance["position"] else "")
    if missing := _MISSING.fullmatch(what):
        return f"{_place(index, missing['name'])} is required, but missing"
    if unknown := _UNKNOWN.fullmatch(what):
        return f"{_place(index, unknown['name'])} is not in the model's signature"
    if what.startswith(("Expected `float` <=", "Expected `float` >=", "Number out of range")):
        return f"{_place(index, name)} is outside the range of float32"
    place = path[1:] if path in (".instances", ".inputs") else _place(index, name)
    return f"{place}: {_plain(what)}"


def explain_malformed(message: str, body: bytes) -> str:
    """Say a msgspec syntax error, with the instance and field where the text breaks off."""
    if not body.strip():
        return "the body is empty: send a JSON object with instances"
    byte = int(found[1]) if (found := _BYTE.search(message)) else len(body)
    index, name = _locate(body[:byte]) if byte <= _LOCATE_BYTES else (None, "")
    literal = re.match(rb"-?(NaN|Infinity)", body[byte:]) or re.match(rb"-?(NaN|Infinity)", body[byte - 1 :])
    if literal:
        return f"{_place(index, name)}: {literal[0].decode()} is not JSON; send null for a missing number"
    return f"{_place(index, name)}: malformed JSON at byte {byte}"


def _place(index: int | None, name: str) -> str:
    field = f"field {name[:_SHOWN_CHARACTERS]!r}" if name else ""
    if index is None:
        return field or "the body"
    return f"instance {index}, {field}" if field else f"instance {index}"


def _plain(what: str) -> str:
    """``Expected `float | null`, got `str``` -> ``expected number or null, got text``."""
    text = what.replace("`", "").replace(" | ", " or ")
    text = re.sub(r"\b(float|str|int|bool)\b", lambda word: _WORDS[word[0]], text)
    return (text[:1].lower() + text[1:])[:200]


def _locate(read: bytes) -> tuple[int | None, str]:
    """Instance number and field name at the end of ``read``, the well-formed beginning of a body."""
    depth, index = 0, None
    last_text = name = ""
    for token in _TOKEN.findall(read):
        if token in b"{[":
            depth += 1
            if depth == 2:
                index, name = 0, ""
        elif token in b"}]":
            depth -= 1
            name = name if depth > 2 else ""
            index = index if depth > 1 else None
        elif token == b"," and depth == 2 and index is not None:
            index, name = index + 1, ""
        elif token == b":" and depth == 3:
            name = last_text
        elif token[:1] == b'"':
            last_text = token[1:-1].decode("utf-8", "replace")
    return index, name
