"""Every key of the config file: type, default, meaning. The meaning is the docstring's sentence about the key."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import inspect

from generator.markdown import heading, prose, sentences, table
from generator.meanings import MEANINGS
from generator.types import default, describe
from interlock.config import Config


def page() -> str:
    """The page."""
    parts = [
        heading(
            "Config file",
            "One YAML file describes a use case. Unknown keys, wrong types and impossible values are refused, with "
            "file, key, value and what is allowed, before anything runs. `examples/flights/config.yaml` is a whole "
            "one. A *name* is up to 63 letters, digits and `_`, a *slug* up to 41 lower-case letters, digits and `-`.",
        )
    ]
    parts += [_section(path, kind) for path, kind in sections()]
    return "\n".join(parts)


def sections() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """(where it stands in the file, struct) of each part, outermost first; a struct is listed once."""
    queue: list[tuple[str, type[msgspec.Struct]]] = [("", Config)]
    seen: set[type] = set()
    while queue:
        path, kind = queue.pop(0)
        if kind in seen:
            continue
        seen.add(kind)
        yield path, kind
        inner = [
            (f"{path}.{field.encode_name}".lstrip(".") + suffix, struct)
            for field in fields(kind)
            for suffix, struct in _structs(field.type)
        ]
        queue = inner + queue if path else queue + inner


def meaning(kind: type[msgspec.Struct], field: inspect.Field) -> str:
    """What is written about a key: in :data:`MEANINGS`, the docstring of its section, or that of what it holds."""
    key = field.encode_name
    if (own := f"{kind.__name__}.{key}") in MEANINGS:
        return MEANINGS[own]
    for one in kind.__mro__:
        if issubclass(one, msgspec.Struct) and (found := sentences(one.__doc__ or "", key)):
            return found.removeprefix(f"`{key}`: ").rstrip(";")
    return "".join(_first_paragraph(struct) for _, struct in _structs(field.type))


def _section(path: str, kind: type[msgspec.Struct]) -> str:
    title = f"`{path}`" if path else "The file"
    rows = [
        (f"`{field.encode_name}`", describe(field.type, _link), default(field), meaning(kind, field))
        for field in fields(kind)
    ]
    text = prose(kind.__doc__ or "")
    return f"## {title} {{ #{_anchor(kind)} }}\n\n{text}\n\n{table(('key', 'type', 'default', 'meaning'), rows)}"


def _first_paragraph(kind: type[msgspec.Struct]) -> str:
    return prose((kind.__doc__ or "").partition("\n\n")[0])


def fields(kind: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    """The keys of a section."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return info.fields


def _structs(kind: inspect.Type) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    match kind:
        case inspect.StructType(cls=cls):
            yield "", cls
        case inspect.UnionType(types=types):
            for one in types:
                yield from _structs(one)
        case inspect.ListType(item_type=item):
            for suffix, struct in _structs(item):
                yield "[]" + suffix, struct


def _link(kind: type) -> str:
    return f"[{kind.__name__}](#{_anchor(kind)})"


def _anchor(kind: type) -> str:
    return kind.__name__.lower()
