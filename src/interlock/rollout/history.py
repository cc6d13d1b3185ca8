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


def _ids(engine: sa.Engine, endpoint: str) -> list[str]:
    """Of the rollouts that began on ``endpoint``, oldest first."""
    c = rollout_journal.c
    query = sa.select(c.rollout, c.detail).where(c.event == "started").order_by(c.entry)
    rows = rows_of(engine, query, "rollout journal")
    return list(dict.fromkeys(row["rollout"] for row in rows if _Where.of(row["detail"]).endpoint == endpoint))


class _Where(msgspec.Struct):
    """Of a journal's first entry, what says where it was."""

    endpoint: str

    @classmethod
    def of(cls, detail: str) -> _Where:
        return msgspec.json.decode(detail, type=cls)


def production_changes(engine: sa.Engine, endpoint: str) -> list[Change]:
    """Every change of the version in production, oldest first, with who moved it and why."""
    changes = []
    for id_, entries in _journals(engine):
        if _endpoint(entries) == endpoint:
            changes += _of_rollout(id_, entries)
        changes += [_of_order(e.time, e.event) for e in entries if _is_order(e, endpoint)]
    ordered, last = [], None
    for change in sorted(changes, key=lambda change: change.time):
        if change.version != last or change.by == "a person":
            ordered.append(change)
        last = change.version
    return ordered


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


def _of_order(time: float, event: object) -> Change:
    assert isinstance(event, Ordered)
    return Change(time=time, version=event.to_version, by="a person", reason=event.reason)


def _is_order(entry: Entry, endpoint: str) -> bool:
    return isinstance(entry.event, Ordered) and entry.event.endpoint == endpoint


def _journals(engine: sa.Engine) -> list[tuple[str, list[Entry]]]:
    c = rollout_journal.c
    query = sa.select(c.rollout).group_by(c.rollout).order_by(sa.func.min(c.entry))
    ids = [row["rollout"] for row in rows_of(engine, query, "rollout journal")]
    return [(id_, RolloutJournal(engine, id_).entries()) for id_ in ids]


def _endpoint(entries: Sequence[Entry]) -> str:
    return next((entry.event.endpoint for entry in entries if isinstance(entry.event, Started)), "")
