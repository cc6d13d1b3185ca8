"""Every verdict in the warehouse: for the windows that come, for the console, and for whoever asks why."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from interlock.contracts import MonitoringReport
from interlock.errors import EvidenceError
from interlock.monitoring.window import Window
from interlock.warehouse import monitoring_log, reason_of, rows_of


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """What a record holds besides its columns."""

    since: float
    until: float
    reasons: list[str]
    features: dict[str, list[int]] = {}


def write_record(engine: sa.Engine, report: MonitoringReport, window: Window, now: float) -> None:
    """Append the verdict and what it led to; :class:`EvidenceError` when the warehouse cannot take it."""
    detail = Detail(since=report.since, until=report.until, reasons=report.reasons, features=window.features)
    row = {
        "endpoint": report.endpoint,
        "model_version": report.version,
        "time": now,
        "verdict": report.verdict,
        "actions": msgspec.json.encode([each.action for each in report.actions if each.outcome == "done"]).decode(),
        "detail": msgspec.json.encode(detail).decode(),
    }
    try:
        with engine.begin() as connection:
            connection.execute(monitoring_log.insert(), row)
    except sa.exc.SQLAlchemyError as error:
        raise EvidenceError(f"monitoring log cannot be written: {reason_of(error)}") from error


def earlier_windows(
    engine: sa.Engine, endpoint: str, version: str, *, until: float, count: int
) -> list[Mapping[str, list[int]]]:
    """Feature counts of the last ``count`` windows of this version that ended by ``until``, oldest first.

    Windows with too few rows to be counted, and those that overlap a later one, are left out.
    """
    c = monitoring_log.c
    newest = (
        sa.select(c.detail)
        .where(c.endpoint == endpoint, c.model_version == version)
        .order_by(c.entry.desc())
        .limit(4 * max(count, 1))
    )
    found: list[Mapping[str, list[int]]] = []
    border = until
    for row in rows_of(engine, newest, "monitoring log"):
        detail = msgspec.json.decode(row["detail"], type=Detail)
        if detail.until <= border and detail.features and len(found) < count:
            found.append(detail.features)
            border = detail.since
    return found[::-1]


def last_training(engine: sa.Engine, endpoint: str) -> float | None:
    """When monitoring last submitted a training (seconds since 1970), None for never."""
    c = monitoring_log.c
    latest = sa.select(sa.func.max(c.time).label("time")).where(c.endpoint == endpoint, c.actions.contains('"train"'))
    time: float | None = rows_of(engine, latest, "monitoring log")[0]["time"]
    return time
