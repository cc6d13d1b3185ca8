"""The newest rows of the serving log, per version: rates, latency and the business metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from interlock.config import Config
from interlock.errors import EvidenceError
from interlock.rollout.measurement import latest_log_id, measure
from interlock.warehouse import reason_of, request_response_log

NEWEST_ROWS, PERCENTILE_ROWS = 40_000, 5_000  # enough to see, little enough to ask for every second
WINDOW_SECONDS = 60.0


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """What a version answered in one second (since 1970); latency is the mean."""

    time: int
    requests: int
    failed: int
    latency_ms: float


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """One version's newest requests. ``business``: (metric, mean, requests with an outcome), None if unknown."""

    version: str
    seconds: list[Second]
    per_second: float
    failed_share: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    business: tuple[str, float, int] | None = None


def newest_traffic(
    engine: sa.Engine, endpoint: str, deployed: dict[str, str], config: Config | None, *, now: float
) -> list[Traffic]:
    """Traffic of the last minute (of ``NEWEST_ROWS`` at most) for each deployed id -> version, in that order."""
    last = latest_log_id(engine)
    by_second = _by_second(engine, endpoint, last, now - WINDOW_SECONDS)
    latencies = _latencies(engine, endpoint, last, now - WINDOW_SECONDS)
    found = []
    for id_, version in deployed.items():
        seconds = by_second.get(id_, [])
        requests = sum(second.requests for second in seconds)
        values = sorted(latencies.get(id_, []))
        traffic = Traffic(
            version=version,
            seconds=seconds,
            per_second=_rate(seconds, by_second, now),
            failed_share=sum(second.failed for second in seconds) / requests if requests else 0.0,
            latency_p50_ms=_quantile(values, 0.5),
            latency_p99_ms=_quantile(values, 0.99),
            business=_business(engine, endpoint, id_, config, last) if config else None,
        )
        found.append(traffic)
    return found


def requests_between(engine: sa.Engine, endpoint: str, deployed: str, *, after: int, until: float) -> int:
    """Requests a deployed model answered in log rows after ``after``, logged before ``until`` (since 1970)."""
    log = request_response_log.c
    query = sa.select(sa.func.count()).where(
        log.log_id > after, log.endpoint == endpoint, log.deployed_model_id == deployed, log.logging_time <= until
    )
    return int(_rows(engine, query)[0][0])


def _rate(seconds: Sequence[Second], all_of_them: dict[str, list[Second]], now: float) -> float:
    """Requests per second over the last whole seconds of what was read, five of them at most."""
    first = min((second.time for each in all_of_them.values() for second in each), default=int(now))
    since = max(int(now) - 5, first + 1)
    whole = [second.requests for second in seconds if since <= second.time < int(now)]
    return sum(whole) / max(int(now) - since, 1)


def _by_second(engine: sa.Engine, endpoint: str, last: int, since: float) -> dict[str, list[Second]]:
    log = request_response_log.c
    second = sa.cast(log.logging_time, sa.Integer).label("second")
    query = (
        sa.select(
            log.deployed_model_id,
            second,
            sa.func.count().label("requests"),
            sa.func.sum(sa.case((log.status >= 500, 1), else_=0)).label("failed"),
            sa.func.avg(log.latency_ms).label("latency"),
        )
        .where(log.log_id > last - NEWEST_ROWS, log.endpoint == endpoint, log.logging_time > since)
        .group_by(log.deployed_model_id, second)
        .order_by(second)
    )
    found: dict[str, list[Second]] = {}
    for id_, time, requests, failed, latency in _rows(engine, query):
        one = Second(time=time, requests=requests, failed=failed, latency_ms=latency)
        found.setdefault(id_, []).append(one)
    return found


def _latencies(engine: sa.Engine, endpoint: str, last: int, since: float) -> dict[str, list[float]]:
    log = request_response_log.c
    query = sa.select(log.deployed_model_id, log.latency_ms).where(
        log.log_id > last - PERCENTILE_ROWS, log.endpoint == endpoint, log.logging_time > since
    )
    found: dict[str, list[float]] = {}
    for id_, latency in _rows(engine, query):
        found.setdefault(id_, []).append(latency)
    return found


def _business(
    engine: sa.Engine, endpoint: str, deployed: str, config: Config, last: int
) -> tuple[str, float, int] | None:
    """The first business metric over the newest rows whose outcome is known, whenever they were."""
    metric = next((metric for metric in config.metrics if metric.role == "business"), None)
    if metric is None:
        return None
    check = measure(
        engine,
        endpoint,
        {deployed: "candidate"},
        after=max(0, last - NEWEST_ROWS // 2),
        until=last,
        weight=0,
        metrics=[metric],
        cost=config.cost,
    )
    sample = check.candidate.sample(metric.name)
    return (metric.name, sample.mean, sample.n) if sample.n else None


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def _rows(engine: sa.Engine, query: sa.Select[Any]) -> list[Any]:
    try:
        with engine.connect() as connection:
            return list(connection.execute(query).all())
    except sa.exc.SQLAlchemyError as error:
        raise EvidenceError(f"serving log cannot be read: {reason_of(error)}") from error
