"""The contracts: what travels between stages."""

from __future__ import annotations

import msgspec
from msgspec import inspect

from generator.markdown import heading, prose, table
from generator.types import default, describe
from interlock import contracts


def page() -> str:
    """The page."""
    kinds = [
        kind
        for kind in vars(contracts).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not contracts.Contract
    ]
    kinds.sort(key=lambda kind: kind.__module__ != contracts.__name__)  # what it takes from elsewhere comes last
    parts = [
        heading(
            "Contracts",
            "Frozen values that travel between stages as JSON files, each with its name and version in it "
            '(`"contract": "evaluation/v1"`), validated where they are read. Code: `src/interlock/contracts.py`.',
        )
    ]
    return "\n".join([*parts, *(_section(kind) for kind in kinds)])


def _section(kind: type[msgspec.Struct]) -> str:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    tag = f", `{info.tag}`" if isinstance(info.tag, str) else ""
    rows = [(f"`{field.encode_name}`", describe(field.type, _link), default(field)) for field in info.fields]
    title = f"## {kind.__name__}{tag} {{ #{kind.__name__.lower()} }}"
    return f"{title}\n\n{prose(kind.__doc__ or '')}\n\n{table(('field', 'type', 'default'), rows)}"


def _link(kind: type) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"
