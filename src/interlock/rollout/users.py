"""Counts by user, where a layer above the endpoint keeps every user on one version.

Then users are what was drawn at random, and requests of one user are alike: counted one by one they would claim
more certainty than there is. A user's value is the sum over his requests, made comparable between users who ask
much and users who ask little by linearisation:

    T = Y - R (X - mean X)      Y: sum of the metric, X: requests, R: the champion's Y per X before the rollout

whose mean differs between the arms as the ratio of the sums does (Deng et al., https://arxiv.org/abs/1803.06336).
Sums are over the whole step so far, never over one check: a user comes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from interlock.config import Cost, Metric
from interlock.errors import EvidenceError
from interlock.rollout.counts import Sample
from interlock.warehouse import outcomes, rows_of, serving_log

# Users who were answered by both versions, of all: more means that nothing keeps them on one.
MOST_IN_BOTH = 0.01


class UserCounts(NamedTuple):
    """Users of one version, and their sums by metric."""

    users: int
    samples: dict[str, Sample]


class _Sums(NamedTuple):
    """Moments of (X, Y) over the users of one version with X > 0."""

    n: int
    nonzero: int
    x: float
    y: float
    xx: float
    xy: float
    yy: float


def measure_users(
    engine: sa.Engine,
    endpoint: str,
    deployed_model_ids: Sequence[str],
    *,
    user_key: str,
    since: int,
    until: int,
    metrics: Sequence[Metric],
    cost: Cost,
    prior: Mapping[str, Sample],
) -> dict[str, UserCounts]:
    """By deployed model id, over the log rows ``since`` < log_id <= ``until``.

    ``prior``: the champion's sums from before the rollout, for R; without them nothing is linearised.
    :class:`EvidenceError` when requests carry no user, or users are not kept on one version.
    """
    by_user = _by_user(endpoint, deployed_model_ids, user_key, since, until, metrics, cost)
    _require_users(engine, by_user, user_key)
    found = {row["deployed_model_id"]: row for row in rows_of(engine, _by_version(by_user, metrics))}
    sums = {
        metric.name: {version: _sums(row, index) for version, row in found.items()}
        for index, metric in enumerate(metrics)
    }
    samples = {name: _linearised(by_version, prior.get(name)) for name, by_version in sums.items()}
    return {
        version: UserCounts(row["users"], {name: each[version] for name, each in samples.items()})
        for version, row in found.items()
    }


def _by_user(
    endpoint: str,
    deployed_model_ids: Sequence[str],
    user_key: str,
    since: int,
    until: int,
    metrics: Sequence[Metric],
    cost: Cost,
) -> sa.Subquery:
    """One row per version and user: requests, and X and Y of each metric."""
    log = serving_log(user_key)
    pairs = [_pair(metric, log, cost) for metric in metrics]
    sums = [
        sa.func.coalesce(sa.func.sum(value), 0.0).label(f"{letter}{index}")
        for index, pair in enumerate(pairs)
        for letter, value in zip("xy", pair, strict=True)
    ]
    return (
        sa.select(log.c.deployed_model_id, log.c.field, sa.func.count().label("requests"), *sums)
        .select_from(log.outerjoin(outcomes, log.c.row_key == outcomes.c.row_key))
        .where(
            log.c.endpoint == endpoint,
            log.c.log_id > since,
            log.c.log_id <= until,
            log.c.deployed_model_id.in_(list(deployed_model_ids)),
        )
        .group_by(log.c.deployed_model_id, log.c.field)
        .subquery("by_user")
    )


def _pair(metric: Metric, log: sa.Subquery, cost: Cost) -> tuple[sa.ColumnElement[float], sa.ColumnElement[float]]:
    """X and Y of one request."""
    answered, outcome = log.c.status < 400, outcomes.c.outcome
    known = sa.and_(answered, log.c.predicted.is_not(None), outcome.is_not(None))
    if metric.value == "error":
        failed = log.c.status >= 500
        return _number((sa.or_(answered, failed), 1.0)), _number((failed, 1.0))
    if metric.value == "slow":
        return _number((answered, 1.0)), _number((sa.and_(answered, log.c.latency_ms > metric.slow_ms), 1.0))
    if metric.value == "conversion":
        return _number((known, 1.0)), _number((sa.and_(known, outcome == 1), 1.0))
    if metric.value == "amount":
        has = sa.and_(known, outcomes.c.amount.is_not(None))
        cap = float(metric.cap or 0)
        worth = sa.case((outcomes.c.amount > cap, cap), (outcomes.c.amount < 0, 0.0), else_=outcomes.c.amount)
        return _number((has, 1.0)), _number((has, worth))
    highest = float("inf") if metric.cap is None else metric.cap
    wrongly = sa.and_(known, log.c.predicted == 1, outcome == 0), float(min(cost.false_positive, highest))
    missed = sa.and_(known, log.c.predicted == 0, outcome == 1), float(min(cost.false_negative, highest))
    return _number((known, 1.0)), _number(wrongly, missed)


def _number(*cases: tuple[sa.ColumnElement[bool], Any]) -> sa.ColumnElement[float]:
    return sa.case(*cases, else_=0.0)


def _by_version(by_user: sa.Subquery, metrics: Sequence[Metric]) -> sa.Select[Any]:
    columns: list[sa.ColumnElement[Any]] = []
    for index in range(len(metrics)):
        x, y = by_user.c[f"x{index}"], by_user.c[f"y{index}"]
        values = {"n": sa.literal(1.0), "nonzero": _number((y > 0, 1.0)), "x": x, "y": y}
        values |= {"xx": x * x, "xy": x * y, "yy": y * y}
        columns += [
            sa.func.coalesce(sa.func.sum(_number((x > 0, value))), 0.0).label(f"{name}{index}")
            for name, value in values.items()
        ]
    return sa.select(by_user.c.deployed_model_id, sa.func.count().label("users"), *columns).group_by(
        by_user.c.deployed_model_id
    )


def _sums(row: Mapping[str, Any], index: int) -> _Sums:
    n, nonzero, *moments = (row[f"{name}{index}"] for name in _Sums._fields)
    return _Sums(int(n), int(nonzero), *(float(moment) for moment in moments))


def _linearised(by_version: Mapping[str, _Sums], before: Sample | None) -> dict[str, Sample]:
    """Sums of T and of its square. Mean X is of all versions: shifted alike, their difference stays as it is."""
    ratio = before.total / before.requests if before is not None and before.requests else 0.0
    users = sum(sums.n for sums in by_version.values())
    shift = ratio * sum(sums.x for sums in by_version.values()) / users if users else 0.0
    found = {}
    for version, s in by_version.items():
        rest = s.y - ratio * s.x
        squares = s.yy - 2 * ratio * s.xy + ratio**2 * s.xx
        found[version] = Sample(
            n=s.n,
            nonzero=s.nonzero,
            total=rest + s.n * shift,
            squares=squares + 2 * shift * rest + s.n * shift**2,
            requests=round(s.x),
        )
    return found


def _require_users(engine: sa.Engine, by_user: sa.Subquery, user_key: str) -> None:
    nobody = sa.select(sa.func.coalesce(sa.func.sum(by_user.c.requests), 0).label("requests")).where(
        by_user.c.field.is_(None)
    )
    nameless = rows_of(engine, nobody)[0]["requests"]
    if nameless:
        raise EvidenceError(
            f"{nameless} requests carry no field {user_key!r}: send strategy.user_key with every request, "
            "or set strategy.unit to request"
        )
    versions = sa.select(by_user.c.field, sa.func.count().label("versions")).group_by(by_user.c.field).subquery()
    moved = sa.func.coalesce(sa.func.sum(_number((versions.c.versions > 1, 1.0))), 0)
    count = sa.select(sa.func.count().label("users"), moved.label("both")).select_from(versions)
    row = rows_of(engine, count)[0]
    if row["both"] > MOST_IN_BOTH * max(row["users"], 1):
        raise EvidenceError(
            f"{row['both']:.0f} of {row['users']} users were answered by both versions, more than {MOST_IN_BOTH:.0%}: "
            "nothing keeps a user on one version; route by user, or set strategy.unit to request"
        )
