"""Types of msgspec structs, for people."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect

from interlock.config.rollout import Moment
from interlock.config.section import Name, Slug

Link = Callable[[type], str]
PATTERNS = {
    typing.get_args(kind)[1].pattern: word
    for kind, word in ((Name, "name"), (Slug, "slug"), (Moment, "moment, `Fri 16:00`"))
}


def describe(kind: inspect.Type, link: Link) -> str:  # noqa: PLR0911, PLR0912 - one case per type
    """``number, > 0``, ``list of text``, …; ``link`` names a struct."""
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return _bounded("whole number", kind)
        case inspect.FloatType():
            return _bounded("number", kind)
        case inspect.StrType(pattern=str() as pattern):
            return PATTERNS.get(pattern) or f"text, `{pattern}`"
        case inspect.StrType(min_length=int() as least):
            return f"text, at least {least} long"
        case inspect.StrType():
            return "text"
        case inspect.LiteralType(values=values):
            return " or ".join(f"`{value}`" if value else "`''`" for value in values)
        case inspect.NoneType():
            return "null"
        case inspect.DateType():
            return "date"
        case inspect.StructType(cls=cls):
            return link(cls)
        case inspect.UnionType(types=types):
            return " or ".join(dict.fromkeys(describe(one, link) for one in _null_last(types)))
        case inspect.ListType(item_type=item, min_length=least, max_length=most):
            return f"list of {describe(item, link)}{_lengths(least, most)}"
        case inspect.DictType(key_type=key, value_type=value):
            return f"{describe(key, link)} -> {describe(value, link)}"
        case inspect.TupleType(item_types=items):
            return f"[{', '.join(describe(item, link) for item in items)}]"
        case inspect.EnumType(cls=cls):
            return " or ".join(f"`{member.value}`" for member in typing.cast(Any, cls))
    raise TypeError(f"no words for {kind}: add a case to docs/generator/types.py")


def default(field: inspect.Field) -> str:
    """The default as it would stand in a file; ``required`` without one."""
    if field.default is not msgspec.NODEFAULT:
        value = field.default
    elif field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    else:
        return "required"
    plain = msgspec.to_builtins(value)
    if isinstance(value, msgspec.Struct):
        return "its defaults"
    return "null" if plain is None else f"`{json.dumps(plain)}`"


def _null_last(types: tuple[inspect.Type, ...]) -> list[inspect.Type]:
    return sorted(types, key=lambda one: isinstance(one, inspect.NoneType))


def _bounded(name: str, kind: inspect.IntType | inspect.FloatType) -> str:
    limits = ((">=", kind.ge), (">", kind.gt), ("<=", kind.le), ("<", kind.lt))
    said = ", ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
    return f"{name} ({said})" if said else name


def _lengths(least: int | None, most: int | None) -> str:
    if least is not None and least == most:
        return f" ({least})"
    said = [f"at least {least}"] if least else []
    said += [f"at most {most}"] if most is not None else []
    return f" ({', '.join(said)})" if said else ""
