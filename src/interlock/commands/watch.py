"""``interlock status --watch``: versions, traffic and the rollout under way, again and again."""

from __future__ import annotations

import time
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from interlock.contracts import Place
from interlock.rollout.history import newest_rollout
from interlock.rollout.journal import Judged
from interlock.rollout.state import fold
from interlock.status import read_status, status_table
from interlock.vertex.endpoint import endpoint_names
from interlock.warehouse import open_warehouse

EVERY_SECONDS = 1.0


def run(place: Place, config: Path | None, *, console: Console, looks: int | None = None) -> None:
    """Until Ctrl-C, or ``looks`` times."""
    with Live(console=console, auto_refresh=False) as live:
        while looks is None or looks > 0:
            live.update(picture(place, config), refresh=True)
            looks = None if looks is None else looks - 1
            if looks != 0:
                time.sleep(EVERY_SECONDS)


def picture(place: Place, config: Path | None) -> Group:
    """The status table, and one line per endpoint on its newest rollout."""
    rows = read_status(place, config)
    names = sorted({row["model"] for row in rows} | set(endpoint_names(place)))
    engine = open_warehouse(place.warehouse)
    lines = [Text(line) for name in names for line in _newest(engine, name)]
    engine.dispose()
    return Group(status_table(rows), *lines)


def _newest(engine: sa.Engine, name: str) -> list[str]:
    _, entries = newest_rollout(engine, name)
    if not entries:
        return []
    state = fold(entries)
    start, ended = state.start, state.settled
    judged = [entry.event for entry in entries if isinstance(entry.event, Judged)]
    requests = sum(check.requests for check in state.checks)
    where = f"settled, {ended.outcome}" if ended else f"{state.phase}, step {max(state.step_began, default=-1) + 1}"
    line = f"{name}: version {start.candidate_version} against {start.champion_version or 'none'}: {where}; "
    line += f"{len(state.checks)} checks, {requests} requests compared"
    return [f"\n{line}", f"  {judged[-1].verdict.kind}: {judged[-1].verdict.reason}"] if judged else [f"\n{line}"]
