"""What one version answered in a window of time, aggregated in the warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import sqlalchemy as sa

from interlock.config import Cost
from interlock.errors import EvidenceError
from interlock.warehouse import outcomes, serving_log


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one window. ``tenths``: answers per decile of the test scores, ten numbers."""

    since: float
    until: float
    requests: int
    failed: int
    with_outcome: int
    total_cost: float
    tenths: list[int]


def count_window(
    engine: sa.Engine,
    *,
    endpoint: str,
    version: str,
    since: float,
    until: float,
    deciles: Sequence[float],
    cost: Cost,
) -> Window:
    """Count the requests of ``version`` with ``since`` < time <= ``until`` (epoch seconds)."""
    log = serving_log()
    known = sa.and_(log.c.predicted.is_not(None), outcomes.c.outcome.is_not(None))
    vain = sa.and_(known, log.c.predicted == 1, outcomes.c.outcome == 0)
    missed = sa.and_(known, log.c.predicted == 0, outcomes.c.outcome == 1)
    statement = (
        sa.select(
            sa.func.count().label("requests"),
            _total(log.c.status >= 500).label("failed"),
            _total(known).label("with_outcome"),
            (_total(vain) * cost.false_positive + _total(missed) * cost.false_negative).label("total_cost"),
            *(_total(log.c.probability <= border).label(f"below_{i}") for i, border in enumerate(deciles)),
            _total(log.c.probability.is_not(None)).label("scored"),
        )
        .select_from(log.outerjoin(outcomes, log.c.row_key == outcomes.c.row_key))
        .where(
            log.c.endpoint == endpoint,
            log.c.model_version == version,
            log.c.time > since,
            log.c.time <= until,
        )
    )
    try:
        with engine.connect() as connection:
            row = connection.execute(statement).mappings().one()
    except sa.exc.SQLAlchemyError as error:
        raise EvidenceError(f"warehouse cannot be read: {' '.join(str(error).split())[:200]}") from error
    below = [0, *(int(row[f"below_{i}"]) for i in range(len(deciles))), int(row["scored"])]
    return Window(
        since=since,
        until=until,
        requests=int(row["requests"]),
        failed=int(row["failed"]),
        with_outcome=int(row["with_outcome"]),
        total_cost=float(row["total_cost"]),
        tenths=[after - before for before, after in pairwise(below)],
    )


def _total(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)
