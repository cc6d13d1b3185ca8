"""The contracts: what travels between stages."""

from __future__ import annotations

import msgspec
from msgspec import inspect

from generator.markdown import heading, prose, table
from generator.types import default, describe
from interlock.contracts import data, evaluation, model, monitoring, rollout

# Along the pipelines; within each as the source has them.
IN_ORDER = (data, model, evaluation, rollout, monitoring)


def page() -> str:
    """The page."""
    kinds = [
        kind
        for module in IN_ORDER
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
    ]
    parts = [
        heading(
            "Contracts",
            "Frozen values that travel between stages as JSON files, each with its name and version in it "
            '(`"contract": "evaluation/v1"`), validated where they are read. Code: `src/interlock/contracts/`.',
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
