"""The candidate answers production's logged requests again, on an endpoint of its own, and is compared.

::

    log of production --sampled, rate-limited--> candidate's own endpoint --> compare --> journal --> verdict
          (matured rows: their outcomes have arrived)                              continue | hold | roll back

Production never waits for it and never sees an error of it: it only reads the log. That is why it also works on
Vertex AI, which cannot mirror.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from interlock.config import Cost, Shadow
from interlock.contracts import Verdict, VerdictKind
from interlock.errors import EndpointError
from interlock.rollout.pairs import Cell, ShadowCheck, compared, paired_harm, paired_noninferiority, pooled_costs
from interlock.rollout.strategy import Action, Decision
from interlock.warehouse import outcomes, request_response_log, rows_of, serving_log

WORKERS = 4
LARGEST_BATCH = 500


class Answering(Protocol):
    """The candidate's own endpoint."""

    def predict(self, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One request; :class:`EndpointError` if it fails."""
        ...


class ShadowLog:
    """Production's log, as a shadow reads it."""

    def __init__(self, engine: sa.Engine, endpoint: str, cost: Cost, slices: Sequence[str]) -> None:
        self.engine, self.endpoint, self.cost, self.slices = engine, endpoint, cost, list(slices)

    def rows(self, champion: str, *, after: int, until: int, sample: int, limit: int) -> list[dict[str, Any]]:
        """Answered requests of the champion's deployed model, ``after`` < log_id <= ``until``, oldest first."""
        log, raw = serving_log(), request_response_log.c
        statement = (
            sa.select(
                raw.log_id,
                raw.request_payload,
                log.c.predicted,
                log.c.probability,
                log.c.latency_ms,
                outcomes.c.outcome,
            )
            .select_from(
                log.join(request_response_log, raw.log_id == log.c.log_id).outerjoin(
                    outcomes, log.c.row_key == outcomes.c.row_key
                )
            )
            .where(
                raw.endpoint == self.endpoint,
                raw.deployed_model_id == champion,
                raw.log_id > after,
                raw.log_id <= until,
                raw.log_id % 100 < sample,
                log.c.predicted.is_not(None),
            )
            .order_by(raw.log_id)
            .limit(limit)
        )
        return rows_of(self.engine, statement)

    def check(self, candidate: Answering, rows: Sequence[dict[str, Any]], *, after: int, until: int) -> ShadowCheck:
        """Send the requests in ``rows`` to ``candidate`` and compare what comes back."""
        with ThreadPoolExecutor(WORKERS) as pool:
            answers = list(pool.map(lambda row: _ask(candidate, row), rows))
        check = _Sums(after=after, until=until, sent=len(rows))
        for row, (answer, milliseconds) in zip(rows, answers, strict=True):
            check.add(row, answer, milliseconds, self.cost, self.slices)
        return check.done()


def decide_shadow(
    plan: Shadow,
    alpha: float,
    cap: float,
    checks: Sequence[ShadowCheck],
    seconds: float,
    *,
    on_deadline: str,
    problem: str = "",
) -> Decision:
    """What follows from the answers so far: pure, as :func:`interlock.rollout.strategy.decide` is.

    ``problem``: why the log could not be read, '' if it could. ``seconds``: since the rollout began.
    """
    sent, failed = sum(c.sent for c in checks), sum(c.failed for c in checks)
    answered, flips = sent - failed, sum(c.flips for c in checks)
    costs = pooled_costs(checks)
    known = sum(costs.values())
    means = ""
    if known:
        champion, candidate = (sum(key[arm] * n for key, n in costs.items()) / known for arm in (0, 1))
        means = f"cost on the same {known} requests: candidate {candidate:.4g} vs champion {champion:.4g}"

    def decision(action: Action, kind: VerdictKind, metric: str, reason: str) -> Decision:
        verdict = Verdict(kind=kind, metric=metric, reason=f"shadow: {reason}", requests=sent, candidate_requests=0)
        return Decision(action=action, verdict=verdict)

    limit = 1 / alpha
    if (harm := paired_harm(costs, cap)) >= math.log(limit):
        reason = f"{means}, e-value {_number(harm)} >= {limit:g}: worse; {compared(checks)}"
        return decision(Action.ROLL_BACK, VerdictKind.DEGRADED, "cost", reason)
    for what, count, of, most in (
        ("requests failed", failed, sent, plan.maximum_error_share),
        ("decisions changed", flips, answered, plan.maximum_flip_share),
    ):
        look = max(len(checks), 1)
        if most is not None and _binomial_tail(count, of, most) < alpha / (look * (look + 1)):
            reason = f"{count} of {of} {what}, share {count / of:.3g} > {most:g}"
            return decision(Action.ROLL_BACK, VerdictKind.DEGRADED, what.replace(" ", "_"), reason)
    sound = paired_noninferiority(costs, cap, plan.margin)
    shown = f"{means or 'no outcome yet'}; not worse than +{plan.margin:.0%}: e-value {_number(sound)}"
    answers = compared(checks)
    told = f"; {answers}" if answers else ""
    if not problem and sound >= math.log(limit) and known >= plan.minimum_requests:
        return decision(Action.CONTINUE, VerdictKind.HEALTHY, "cost", f"{shown} >= {limit:g}{told}")
    kind = VerdictKind.ERROR if problem else VerdictKind.INCONCLUSIVE
    reason = problem or f"{shown}, {known} requests with outcome of {plan.minimum_requests}{told}"
    if seconds >= plan.deadline_seconds:
        action = Action.ROLL_BACK if on_deadline == "roll back" else Action.HOLD
        reason = f"{seconds:.0f} s >= deadline {plan.deadline_seconds:g} s; {reason}"
        return decision(action, kind, "cost", reason)
    return decision(Action.HOLD, kind, "cost", reason)


class _Sums(msgspec.Struct, kw_only=True):
    after: int
    until: int
    sent: int
    failed: int = 0
    flips: int = 0
    distance: float = 0.0
    candidate_ms: float = 0.0
    champion_ms: float | None = 0.0
    cells: dict[tuple[float, float], int] = {}
    slices: dict[str, list[int]] = {}
    scores: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def add(
        self, row: dict[str, Any], answer: dict[str, Any] | None, milliseconds: float, cost: Cost, slices: list[str]
    ) -> None:
        if answer is None:
            self.failed += 1
            return
        label, flip = int(answer["label"]), int(int(answer["label"]) != row["predicted"])
        self.flips += flip
        self.distance += abs(float(answer["probability"]) - row["probability"])
        self.candidate_ms += milliseconds
        if self.champion_ms is not None:
            self.champion_ms = None if row["latency_ms"] is None else self.champion_ms + row["latency_ms"]
        instance = msgspec.json.decode(row["request_payload"])[0]
        for column in slices:
            if column in instance:
                counted = self.slices.setdefault(f"{column}={instance[column]}", [0, 0])
                counted[0] += 1
                counted[1] += flip
        if row["outcome"] is not None:
            key = (_price(row["predicted"], row["outcome"], cost), _price(label, row["outcome"], cost))
            self.cells[key] = self.cells.get(key, 0) + 1
            champion, candidate, truth = self.scores
            mine = float(answer["probability"])
            self.scores = (champion + row["probability"], candidate + mine, truth + row["outcome"])

    def done(self) -> ShadowCheck:
        cells = [Cell(champion, candidate, rows) for (champion, candidate), rows in sorted(self.cells.items())]
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "cells"}
        return ShadowCheck(cells=cells, **fields)


def _ask(candidate: Answering, row: dict[str, Any]) -> tuple[dict[str, Any] | None, float]:
    began = time.perf_counter()
    try:
        answers = candidate.predict(msgspec.json.decode(row["request_payload"]))
    except EndpointError:
        return None, 0.0
    answer = answers[0] if answers and "label" in answers[0] and "probability" in answers[0] else None
    return answer, 1000 * (time.perf_counter() - began)


def _price(label: int, outcome: int, cost: Cost) -> float:
    if label == outcome:
        return 0.0
    return cost.false_positive if label else cost.false_negative


def _binomial_tail(count: int, n: int, share: float) -> float:
    """Chance of at least ``count`` of ``n`` at ``share``."""
    from scipy.stats import binom

    return float(binom.sf(count - 1, n, share)) if n else 1.0


def _number(log_e: float) -> str:
    return f"{math.exp(log_e):.3g}" if log_e < 20 else f"e^{log_e:.0f}"
