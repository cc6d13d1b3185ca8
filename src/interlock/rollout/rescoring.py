"""What the old version would have answered: its model, run again on the requests the promoted one has answered.

After the promotion nobody asks the old version any more, and what it cost earlier is no control: the world may
have changed since. Its model still stands in the registry and the requests are in the log, so both are compared
on the same rows. A sample is enough, and is all that leaves the warehouse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from interlock.config import Cost
from interlock.warehouse import outcomes, request_response_log, rows_of, serving_log

SAMPLE = 5000


class Rescorer(Protocol):
    """A version's model, without its endpoint."""

    def labels(self, version: str, instances: Sequence[Mapping[str, Any]]) -> list[int]:
        """The decision of ``version`` on each instance; fields it does not know are left out."""
        ...


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """Costs of both versions on the same ``n`` rows: sums, sums of squares, sum of products."""

    n: int = 0
    candidate: float = 0.0
    champion: float = 0.0
    candidate_squares: float = 0.0
    champion_squares: float = 0.0
    products: float = 0.0
    different: int = 0

    def gap(self, margin: float) -> float:
        """Mean of candidate - (1 + margin) champion."""
        return (self.candidate - (1 + margin) * self.champion) / self.n

    def gap_variance(self, margin: float) -> float:
        """Variance of one row's gap."""
        r = 1 + margin
        squares = self.candidate_squares - 2 * r * self.products + r * r * self.champion_squares
        return max(squares / self.n - self.gap(margin) ** 2, 0.0)


def rescore(
    engine: sa.Engine,
    rescorer: Rescorer,
    *,
    endpoint: str,
    deployed_model_id: str,
    champion: str,
    after: int,
    until: int,
    cost: Cost,
) -> Paired:
    """Compare on the first rows with an outcome among ``after`` < log_id <= ``until``, 5,000 at most."""
    rows = _answered(engine, endpoint, deployed_model_id, after, until)
    if not rows:
        return Paired()
    instances = [msgspec.json.decode(row["request_payload"])[0] for row in rows]
    labels = rescorer.labels(champion, instances)
    pairs = [
        (_price(row["predicted"], row["outcome"], cost), _price(label, row["outcome"], cost))
        for row, label in zip(rows, labels, strict=True)
    ]
    return Paired(
        n=len(pairs),
        candidate=sum(c for c, _ in pairs),
        champion=sum(b for _, b in pairs),
        candidate_squares=sum(c * c for c, _ in pairs),
        champion_squares=sum(b * b for _, b in pairs),
        products=sum(c * b for c, b in pairs),
        different=sum(c != b for c, b in pairs),
    )


def _price(label: int, outcome: int, cost: Cost) -> float:
    if label == outcome:
        return 0.0
    return cost.false_positive if label else cost.false_negative


def _answered(engine: sa.Engine, endpoint: str, deployed_model_id: str, after: int, until: int) -> list[dict[str, Any]]:
    log = serving_log()
    raw = request_response_log.c
    statement = (
        sa.select(raw.request_payload, log.c.predicted, outcomes.c.outcome)
        .select_from(
            log.join(outcomes, log.c.row_key == outcomes.c.row_key).join(
                request_response_log, raw.log_id == log.c.log_id
            )
        )
        .where(
            log.c.endpoint == endpoint,
            log.c.deployed_model_id == deployed_model_id,
            log.c.log_id > after,
            log.c.log_id <= until,
            log.c.predicted.is_not(None),
        )
        .order_by(log.c.log_id)
        .limit(SAMPLE)
    )
    return rows_of(engine, statement)
