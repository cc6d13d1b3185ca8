"""Tables of the warehouse, and the entries of the rollout journal."""

from __future__ import annotations

import inspect
import re
import typing

from generator.markdown import heading, prose, table
from interlock import warehouse
from interlock.rollout import journal


def page() -> str:
    """The page."""
    parts = [
        heading(
            "Warehouse",
            "What live traffic writes and rollouts read: SQLite on a laptop, PostgreSQL on kind, BigQuery on Google "
            "Cloud. The business writes `outcomes`; nothing else is to be written by hand.",
        )
    ]
    parts += [_table(name) for name in warehouse.metadata.tables]
    rows = [
        (f"`{event.__struct_config__.tag}`", ", ".join(f"`{field}`" for field in event.__struct_fields__), _told(event))
        for event in typing.get_args(journal.AnyEvent)
    ]
    parts.append("## Entries of the rollout journal\n\n`detail` holds these, by `event`.\n")
    parts.append(table(("event", "fields", "meaning"), rows))
    return "\n".join(parts)


def _table(name: str) -> str:
    said = dict(
        re.findall(r'sa\.Column\("(\w+)",.*\),\s*# (.+)', inspect.getsource(warehouse).partition(f'"{name}"')[2])
    )
    rows = [
        (f"`{column.name}`", str(column.type).lower(), "null" if column.nullable else "", said.get(column.name, ""))
        for column in warehouse.metadata.tables[name].columns
    ]
    return f"## {name}\n\n{table(('column', 'type', '', 'meaning'), rows)}"


def _told(event: type) -> str:
    return prose(event.__doc__ or "")
