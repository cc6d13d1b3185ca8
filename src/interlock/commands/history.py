"""``interlock history``: every change of production, from the journals."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from interlock.commands.place import chosen_place
from interlock.config import load_config
from interlock.rollout.history import Change, production_changes
from interlock.warehouse import open_warehouse


def run(config: Path, state: Path, *, as_json: bool, console: Console, place: Path | None = None) -> None:
    """Print it, oldest first."""
    where = chosen_place(state, place)
    changes = production_changes(open_warehouse(where.warehouse), load_config(config).name)
    if as_json:
        sys.stdout.write(msgspec.json.encode(changes).decode() + "\n")
        return
    console.print(history_table(changes))


def history_table(changes: list[Change]) -> Table:
    """The changes for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("since (UTC)", no_wrap=True)
    for name in ("production", "moved by", "why"):
        table.add_column(name)
    for change in changes:
        since = datetime.fromtimestamp(change.time, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(since, f"version {change.version}" if change.version else "none", change.by, change.reason)
    return table
