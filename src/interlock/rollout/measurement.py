"""Counts one check in the warehouse: one statement, aggregated there, one row per version back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from interlock.config import Cost, Metric
from interlock.errors import EvidenceError
from interlock.rollout.counts import Arm, Check, Sample
from interlock.warehouse import outcomes, request_response_log, rows_of, serving_log

Side = Literal["champion", "candidate"]
MOST_VALUES = 50  # of a covariate: with more, hardly any holds requests of both versions


def measure(
    engine: sa.Engine,
    endpoint: str,
    arms: Mapping[str, Side],
    *,
    after: int,
    until: int,
    weight: int,
    metrics: Sequence[Metric],
    cost: Cost,
    covariate: str = "",
) -> Check:
    """Count the log rows ``after`` < log_id <= ``until`` of ``endpoint``.

    ``arms`` says which deployed model id is which arm; rows of others are left out. A server error (status
    >= 500) is the version's fault; a refused request (4xx) is the caller's and counts in no metric.
    ``covariate``: a field of the instance; the counts are kept by its values too.
    Raises :class:`EvidenceError` when the warehouse cannot answer, or the covariate has too many values.
    """
    statement = counting(endpoint, list(arms), after=after, until=until, metrics=metrics, covariate=covariate)
    parts: dict[Side, dict[str, Arm]] = {"champion": {}, "candidate": {}}
    for row in rows_of(engine, statement):
        _require_latency(row, metrics)
        parts[arms[row["deployed_model_id"]]][str(row.get("covariate"))] = _arm(row, metrics, cost)
    for found in parts.values():
        if len(found) > MOST_VALUES:
            raise EvidenceError(
                f"strategy.stratify_by: {covariate} has {len(found)} values in one check, more than {MOST_VALUES}: "
                "give a field with few"
            )
    champion, candidate = (_whole(parts[side], stratified=bool(covariate)) for side in ("champion", "candidate"))
    return Check(after=after, until=until, weight=weight, champion=champion, candidate=candidate)


def _require_latency(row: Mapping[str, Any], metrics: Sequence[Metric]) -> None:
    """Vertex AI's own log has no latency: nothing would ever look slow there."""
    slow = [metric.name for metric in metrics if metric.value == "slow"]
    if slow and row["without_latency"]:
        raise EvidenceError(
            f"metric {slow[0]}: {row['without_latency']} of {row['answered']} answers are logged without a latency; "
            "take it from a counter (value: counter), or remove the metric"
        )


def _whole(parts: Mapping[str, Arm], *, stratified: bool) -> Arm:
    """One arm from its parts by value of the covariate."""
    names = {name for part in parts.values() for name in part.samples}
    return Arm(
        requests=sum(part.requests for part in parts.values()),
        answered=sum(part.answered for part in parts.values()),
        failed=sum(part.failed for part in parts.values()),
        with_outcome=sum(part.with_outcome for part in parts.values()),
        samples={name: sum((part.sample(name) for part in parts.values()), Sample()) for name in sorted(names)},
        strata={value: part.samples for value, part in parts.items()} if stratified else {},
    )


def counting(
    endpoint: str,
    deployed_model_ids: list[str],
    *,
    after: int,
    until: int,
    metrics: Sequence[Metric],
    covariate: str = "",
) -> sa.Select[Any]:
    """The statement behind :func:`measure`: requests, outcomes and kinds of mistakes by deployed model, and by the
    values of the ``covariate`` where there is one.
    """
    log = serving_log(covariate)
    by = [log.c.deployed_model_id, *([log.c.field] if covariate else [])]
    answered = log.c.status < 400
    known = sa.and_(answered, log.c.predicted.is_not(None), outcomes.c.outcome.is_not(None))
    slow = {m.name: m.slow_ms for m in metrics if m.value == "slow"}
    return (
        sa.select(
            log.c.deployed_model_id,
            *([log.c.field.label("covariate")] if covariate else []),
            sa.func.count().label("requests"),
            _count(answered).label("answered"),
            _count(log.c.status >= 500).label("failed"),
            _count(known).label("with_outcome"),
            _count(sa.and_(known, log.c.predicted == 1, outcomes.c.outcome == 0)).label("false_positives"),
            _count(sa.and_(known, log.c.predicted == 0, outcomes.c.outcome == 1)).label("false_negatives"),
            _count(sa.and_(known, outcomes.c.outcome == 1)).label("converted"),
            _count(sa.and_(answered, log.c.latency_ms.is_(None))).label("without_latency"),
            *(column for m in metrics if m.value == "amount" for column in _amounts(m, known)),
            *(
                _count(sa.and_(answered, log.c.latency_ms > limit)).label(f"over_limit_{name}")
                for name, limit in slow.items()
            ),
        )
        .select_from(log.outerjoin(outcomes, log.c.row_key == outcomes.c.row_key))
        .where(
            log.c.endpoint == endpoint,
            log.c.log_id > after,
            log.c.log_id <= until,
            log.c.deployed_model_id.in_(deployed_model_ids),
        )
        .group_by(*by)
    )


def watermark(engine: sa.Engine, endpoint: str, *, after: int, matured_before: float) -> int:
    """The highest log_id up to which every row of ``endpoint`` was logged before ``matured_before``.

    ``after`` when no row was. Rows up to it have had all the time an outcome may take (epoch seconds).
    """
    log = request_response_log.c
    young = (
        sa.select(log.log_id)
        .where(log.endpoint == endpoint, log.log_id > after, log.logging_time > matured_before)
        .order_by(log.log_id)
        .limit(1)
    )
    newest = sa.select(sa.func.max(log.log_id)).where(log.endpoint == endpoint)
    found = rows_of(
        engine, sa.select(young.scalar_subquery().label("young"), newest.scalar_subquery().label("newest"))
    )[0]
    last = found["young"] - 1 if found["young"] is not None else found["newest"]
    return max(after, last or 0)


def latest_log_id(engine: sa.Engine) -> int:
    """The highest log_id there is; 0 for an empty log."""
    return int(rows_of(engine, sa.select(sa.func.max(request_response_log.c.log_id).label("last")))[0]["last"] or 0)


def requests_since(engine: sa.Engine, endpoint: str, deployed_model_id: str, *, after: int) -> int:
    """Requests a version has answered since ``after``, matured or not: what it has been exposed to."""
    log = request_response_log.c
    count = sa.select(sa.func.count().label("n")).where(
        log.endpoint == endpoint, log.log_id > after, log.deployed_model_id == deployed_model_id
    )
    return int(rows_of(engine, count)[0]["n"])


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _arm(row: Mapping[str, Any], metrics: Sequence[Metric], cost: Cost) -> Arm:
    return Arm(
        requests=row["requests"],
        answered=row["answered"],
        failed=row["failed"],
        with_outcome=row["with_outcome"],
        samples={metric.name: _sample(row, metric, cost) for metric in metrics},
    )


def _sample(row: Mapping[str, Any], metric: Metric, cost: Cost) -> Sample:
    if metric.value == "error":
        return _rate(row["answered"] + row["failed"], row["failed"])
    if metric.value == "slow":
        return _rate(row["answered"], row[f"over_limit_{metric.name}"])
    if metric.value == "conversion":
        return _rate(row["with_outcome"], row["with_outcome"] - row["converted"])
    if metric.value == "counter":
        return Sample()  # from elsewhere
    if metric.value == "amount":
        names = ("n", "nonzero", "total", "squares")
        return Sample(**{name: row[f"amount_{name}_{metric.name}"] for name in names})
    cap = float("inf") if metric.cap is None else metric.cap
    levels: dict[float, int] = {}
    for mistake, price in (
        ("false_positives", cost.false_positive),
        ("false_negatives", cost.false_negative),
    ):
        value = float(min(price, cap))
        if value > 0:
            levels[value] = levels.get(value, 0) + row[mistake]
    return Sample(
        n=row["with_outcome"],
        nonzero=sum(levels.values()),
        total=sum(value * count for value, count in levels.items()),
        squares=sum(value**2 * count for value, count in levels.items()),
        levels=levels,
    )


def _amounts(metric: Metric, known: sa.ColumnElement[bool]) -> list[sa.ColumnElement[Any]]:
    """Count, non-zero count, sum and sum of squares of the capped amounts."""
    amount, cap = outcomes.c.amount, float(metric.cap or 0)
    capped = sa.case((amount > cap, cap), (amount < 0, 0.0), else_=amount)
    has = sa.and_(known, amount.is_not(None))
    sums = [sa.func.coalesce(sa.func.sum(sa.case((has, power), else_=0.0)), 0.0) for power in (capped, capped * capped)]
    return [
        _count(has).label(f"amount_n_{metric.name}"),
        _count(sa.and_(has, amount > 0)).label(f"amount_nonzero_{metric.name}"),
        sums[0].label(f"amount_total_{metric.name}"),
        sums[1].label(f"amount_squares_{metric.name}"),
    ]


def _rate(n: int, bad: int) -> Sample:
    return Sample(n=n, nonzero=bad, total=float(bad), squares=float(bad))
