"""msgspec's complaints in the words of the config file: the key first, then what is allowed."""

from __future__ import annotations

from difflib import get_close_matches

import msgspec

from interlock.config.section import NAME
from interlock.config.use_case import Config


def explain(error: msgspec.ValidationError, raw: object) -> str:
    """msgspec's message, with the place first and the allowed keys where a key is unknown or missing."""
    if raw is None:
        return "the file says nothing; `interlock init TABLE --label COLUMN` writes a first one"
    what, _, where = str(error).partition(" - at ")
    where = where.partition("`$")[2]
    key = where.rstrip("`").lstrip(".") or "(top level)"
    allowed = ""
    if "unknown field" in what or "missing required field" in what:
        struct = _struct_at(Config, where.rstrip("`"))
        unknown = what.partition("unknown field ")[2].strip("`")
        near = get_close_matches(unknown, struct.__struct_fields__, n=1)
        allowed = f"; did you mean {near[0]}? " if near else "; "
        allowed += f"allowed keys: {', '.join(struct.__struct_fields__)}"
    value = _value_at(raw, where.rstrip("`"))
    got = "" if isinstance(value, (dict, list)) or value is None else f" (got {value!r})"
    if f"regex {NAME!r}" in what:
        what = "Expected a name: letters, digits and _, no digit first; source.rename gives a column such a one"
    return f"{key}: {what[0].lower()}{what[1:]}{got}{allowed}"


def _struct_at(root: type[msgspec.Struct], path: str) -> type[msgspec.Struct]:
    struct = root
    for part in path.replace("[...]", "").split("."):
        name = part.partition("[")[0]
        if name and name in struct.__struct_fields__:
            struct = _inner_struct(msgspec.inspect.type_info(struct), name) or struct
    return struct


def _inner_struct(info: msgspec.inspect.Type, name: str) -> type[msgspec.Struct] | None:
    assert isinstance(info, msgspec.inspect.StructType)
    found = next(field.type for field in info.fields if field.name == name)
    if isinstance(found, msgspec.inspect.ListType):
        found = found.item_type
    return found.cls if isinstance(found, msgspec.inspect.StructType) else None


def _value_at(raw: object, path: str) -> object:
    value = raw
    for part in path.replace("[", ".").replace("]", "").split("."):
        if not part:
            continue
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
