"""Which rollouts there were, and which version was in production when."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from interlock.rollout.journal import (
    Aborted,
    Entry,
    Ordered,
    Promoted,
    RolledBack,
    RolloutJournal,
    Settled,
    Started,
    read_event,
)
from interlock.warehouse import rollout_journal, rows_of


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Production as it became at ``time`` (seconds since 1970, UTC); ``version`` '' is nothing in production."""

    time: float
    version: str
    by: str
    reason: str


def rollouts(engine: sa.Engine, endpoint: str) -> list[tuple[str, list[Entry]]]:
    """Id and journal of every rollout on ``endpoint``, oldest first."""
    return [(id_, RolloutJournal(engine, id_).entries()) for id_ in _ids(engine, endpoint)]


def newest_rollout(engine: sa.Engine, endpoint: str) -> tuple[str, list[Entry]]:
    """Id and journal of the last rollout that began on ``endpoint``; ('', []) without one.

    The others are not read: a rollback must not take longer on an endpoint with a long past.
    """
    ids = _ids(engine, endpoint)
    return (ids[-1], RolloutJournal(engine, ids[-1]).entries()) if ids else ("", [])


def open_rollouts(engine: sa.Engine, endpoint: str) -> list[str]:
    """Ids of the rollouts on ``endpoint`` that began and are not settled, or go back after they were."""
    c = rollout_journal.c
    query = sa.select(c.rollout, c.event).where(c.event.in_(("settled", "rolling_back"))).order_by(c.entry)
    ends = {row["rollout"]: row["event"] for row in rows_of(engine, query, "rollout journal")}
    return [id_ for id_ in _ids(engine, endpoint) if ends.get(id_) != "settled"]


def production_changes(engine: sa.Engine, endpoint: str) -> list[Change]:
    """Every change of the version in production, oldest first, with who moved it and why."""
    changes = [change for id_, entries in rollouts(engine, endpoint) for change in _of_rollout(id_, entries)]
    for _, entry in _only(engine, "ordered"):
        order = entry.event
        if isinstance(order, Ordered) and order.endpoint == endpoint:
            changes.append(Change(time=entry.time, version=order.to_version, by="a person", reason=order.reason))
    ordered, last = [], None
    for change in sorted(changes, key=lambda change: change.time):
        if change.version != last or change.by == "a person":
            ordered.append(change)
        last = change.version
    return ordered


def _ids(engine: sa.Engine, endpoint: str) -> list[str]:
    """Of the rollouts that began on ``endpoint``, oldest first."""
    began = [(id_, entry.event) for id_, entry in _only(engine, "started")]
    return list(dict.fromkeys(id_ for id_, e in began if isinstance(e, Started) and e.endpoint == endpoint))


def _only(engine: sa.Engine, event: str) -> list[tuple[str, Entry]]:
    """Rollout and entry of every ``event``, oldest first; no other entry is read."""
    c = rollout_journal.c
    query = sa.select(c.rollout, c.entry, c.time, c.detail).where(c.event == event).order_by(c.entry)
    return [
        (id_, Entry(number=number, time=time, event=read_event(id_, number, detail)))
        for id_, number, time, detail in (row.values() for row in rows_of(engine, query, "rollout journal"))
    ]


def _of_rollout(id_: str, entries: Sequence[Entry]) -> list[Change]:
    start = next(entry.event for entry in entries if isinstance(entry.event, Started))
    by, changes = f"rollout {id_}", []
    if start.champion_version:
        changes.append(Change(time=entries[0].time, version=start.champion_version, by=by, reason="before the rollout"))
    for entry in entries:
        match entry.event:
            case Promoted(version=version):
                reason = "every step passed" if start.champion_version else "first deployment"
                changes.append(Change(time=entry.time, version=version, by=by, reason=reason))
            case RolledBack(reason=reason):
                changes.append(Change(time=entry.time, version=start.champion_version, by=by, reason=reason))
            case Aborted(reason=reason):
                settled = next((e.event for e in entries if isinstance(e.event, Settled)), None)
                if settled is not None:
                    changes.append(Change(time=entry.time, version=settled.production, by="a person", reason=reason))
            case _:
                pass
    return changes
