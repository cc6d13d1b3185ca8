"""Which rollouts there were, newest last."""

from __future__ import annotations

import sqlalchemy as sa

from interlock.rollout.journal import Entry, RolloutJournal, Started
from interlock.warehouse import rollout_journal


def rollouts(engine: sa.Engine, endpoint: str) -> list[tuple[str, list[Entry]]]:
    """Id and journal of every rollout on ``endpoint``, oldest first."""
    c = rollout_journal.c
    query = sa.select(c.rollout).group_by(c.rollout).order_by(sa.func.min(c.entry))
    with engine.connect() as connection:
        ids = list(connection.execute(query).scalars())
    found = [(id_, RolloutJournal(engine, id_).entries()) for id_ in ids]
    return [(id_, entries) for id_, entries in found if _endpoint(entries) == endpoint]


def _endpoint(entries: list[Entry]) -> str:
    return next((entry.event.endpoint for entry in entries if isinstance(entry.event, Started)), "")
