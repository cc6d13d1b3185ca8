"""The statements of monitoring: whole windows are counted in the database, and only counts come back.

::

    features   per feature: rows, cumulative counts over the reference's edges, nulls, or rows per category
    answers    rows per group (all, each value of each slice) and score bin: outcomes, decisions, sums of scores
    traffic    rows per version: answered, failed, refused, timed, slow

JSON is read once per statement: the fields wanted go into a common table expression that is used several times,
which databases compute once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from interlock.config import Range
from interlock.contracts import BinnedColumn, MonitoringReference
from interlock.warehouse import instance_field, outcomes, prediction_field, request_response_log

LOG = request_response_log.c
DISTINCT_KEYS = "#keys"  # no feature can have such a name
SCORE = "#score"
RANGE = "#range "
Column = sa.ColumnElement[Any]


class Rows:
    """Which rows: of one version, between two moments (epoch seconds, the first not included)."""

    def __init__(self, endpoint: str, version: str, since: float, until: float) -> None:
        self.endpoint, self.version, self.since, self.until = endpoint, version, since, until

    def of_version(self) -> Column:
        """Answered requests of the version."""
        return sa.and_(self.of_endpoint(), LOG.model_version == self.version, LOG.status < 400)

    def of_endpoint(self) -> Column:
        """Every request to the endpoint."""
        return sa.and_(LOG.endpoint == self.endpoint, LOG.logging_time > self.since, LOG.logging_time <= self.until)


def features_statement(rows: Rows, reference: MonitoringReference, ranges: Sequence[Range]) -> Any:
    """Columns ``name``, ``value``, ``n``, ``nulls``, ``below_0`` …: a row per number, a row per value of a category."""
    columns = [(each.name, each, _field(each)) for each in reference.features]
    if reference.score is not None:
        columns.append((SCORE, reference.score, prediction_field(reference.score_field, sa.Float())))
    labels = [f"f{i}" for i in range(len(columns))]
    given = [read.label(label) for label, (_, _, read) in zip(labels, columns, strict=True)]
    key = instance_field("row_key", sa.String()).label("row_key")
    served = sa.select(key, *given).where(rows.of_version()).cte("served")
    width = max((len(each.edges) for _, each, _ in columns), default=0)
    parts: list[sa.Select[Any]] = [_part(DISTINCT_KEYS, sa.func.count(served.c.row_key.distinct()), width)]
    by_name = {}
    for label, (name, each, _) in zip(labels, columns, strict=True):
        column = by_name[name] = served.c[label]
        if each.values:
            text = sa.case((column == "", None), else_=column)
            parts.append(_part(name, sa.func.count(), width, value=text).group_by(text))
        else:
            below = [_count(column <= edge) for edge in each.edges]
            part = _part(name, sa.func.count(), width, nulls=_count(column.is_(None)), below=below)
            parts.append(part.select_from(served))
    for index, rule in enumerate(ranges):
        column = by_name[rule.feature]
        outside = [limit for limit in (_below(column, rule), _above(column, rule)) if limit is not None]
        parts.append(_part(f"{RANGE}{index}", _count(sa.or_(*outside)), width))
    return sa.union_all(*parts)


def answers_statement(rows: Rows, edges: Sequence[float], slices: Sequence[str], matured: float) -> Any:
    """Columns ``name``, ``value``, ``bin``, then counts: ``n`` answered before ``matured``, ``known`` of them with an
    outcome, and of those ``positives``, ``tp``, ``fp``, ``fn``; then sums: ``scores``, and powers of score - outcome.
    """
    score = prediction_field("probability", sa.Float())
    given = [sa.func.nullif(instance_field(name, sa.String()), "").label(f"s{i}") for i, name in enumerate(slices)]
    key = instance_field("row_key", sa.String()).label("row_key")
    label = prediction_field("label", sa.Integer()).label("predicted")
    ripe = sa.and_(rows.of_version(), LOG.logging_time <= matured)
    answered = sa.select(key, label, score.label("score"), *given).where(ripe).cte("answered")
    a, outcome = answered.c, outcomes.c.outcome
    place = (
        sa.case(*((a.score <= edge, i) for i, edge in enumerate(edges)), else_=len(edges)) if edges else sa.literal(0)
    )
    joined = (
        sa.select(a.predicted, a.score, outcome, place.label("bin"), *(a[f"s{i}"] for i in range(len(slices))))
        .select_from(answered.outerjoin(outcomes, a.row_key == outcomes.c.row_key))
        .cte("joined")
    )
    j = joined.c
    known = sa.and_(j.outcome.is_not(None), j.score.is_not(None), j.predicted.is_not(None))
    error = j.score - j.outcome
    counts = [
        sa.func.count().label("n"),
        _count(known).label("known"),
        _count(sa.and_(known, j.outcome == 1)).label("positives"),
        _count(sa.and_(known, j.predicted == 1, j.outcome == 1)).label("tp"),
        _count(sa.and_(known, j.predicted == 1, j.outcome == 0)).label("fp"),
        _count(sa.and_(known, j.predicted == 0, j.outcome == 1)).label("fn"),
        _sum(known, j.score).label("scores"),
        _sum(known, error * error).label("squares"),
        _sum(known, error * error * error * error).label("fourths"),
    ]
    name, text = sa.literal("").label("name"), sa.cast(sa.null(), sa.String()).label("value")
    parts: list[Any] = [sa.select(name, text, j.bin, *counts).group_by(j.bin)]
    for i, slice_ in enumerate(slices):
        column = j[f"s{i}"]
        named = sa.select(sa.literal(slice_).label("name"), column.label("value"), j.bin, *counts)
        parts.append(named.group_by(column, j.bin))
    return sa.union_all(*parts)


def traffic_statement(rows: Rows, slow_ms: float) -> sa.Select[Any]:
    """Per ``version``: ``requests``, ``answered``, ``failed`` (5xx), ``refused`` (4xx); of the answered those
    ``timed``, and ``slow``.
    """
    answered = LOG.status < 400
    return (
        sa.select(
            LOG.model_version.label("version"),
            sa.func.count().label("requests"),
            _count(answered).label("answered"),
            _count(LOG.status >= 500).label("failed"),
            _count(sa.and_(LOG.status >= 400, LOG.status < 500)).label("refused"),
            _count(sa.and_(answered, LOG.latency_ms.is_not(None))).label("timed"),
            _count(sa.and_(answered, LOG.latency_ms > slow_ms)).label("slow"),
        )
        .where(rows.of_endpoint())
        .group_by(LOG.model_version)
    )


def newest_outcome_statement() -> sa.Select[Any]:
    """When the newest outcome arrived, null for none."""
    return sa.select(sa.func.max(outcomes.c.time).label("newest"))


def _field(column: BinnedColumn) -> Column:
    return instance_field(column.name, sa.String() if column.values else sa.Float())


def _part(
    name: str, n: Column, width: int, *, value: Column | None = None, nulls: Column | None = None,
    below: Sequence[Column] = (),
) -> sa.Select[Any]:  # fmt: skip
    none = sa.cast(sa.null(), sa.Integer())
    padded = [*below, *([none] * (width - len(below)))]
    return sa.select(
        sa.literal(name).label("name"),
        (sa.cast(sa.null(), sa.String()) if value is None else value).label("value"),
        n.label("n"),
        (none if nulls is None else nulls).label("nulls"),
        *(column.label(f"below_{i}") for i, column in enumerate(padded)),
    )


def _below(column: Column, rule: Range) -> Column | None:
    return None if rule.least is None else column < rule.least


def _above(column: Column, rule: Range) -> Column | None:
    return None if rule.most is None else column > rule.most


def _count(condition: Column) -> Column:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _sum(condition: Column, value: Column) -> Column:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, value), else_=0.0)), 0.0)
