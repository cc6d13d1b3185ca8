"""Evidence where both versions answer the same request: no traffic is exposed, and few requests are needed.

Only the rows on which the two differ can tell them apart, and on those each row is its own control: whatever makes
a request hard or dear is the same for both. With cost c of the candidate and b of the champion on one row, both in
[0, cap], each row multiplies the capital by::

    harm               1 + lambda (c - b) / cap                     null: "the candidate costs no more"
    non-inferiority    1 + lambda ((1 + m) b - c) / (cap (1 + m))   null: "it costs at least (1 + m) times as much"

Under its null a factor is at most 1 on average. Both are exact for every lambda in (0, 1), at any number of looks
(Ville), so the mean over some lambdas is too.
https://arxiv.org/abs/2010.09686
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

BETS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
Costs = Mapping[tuple[float, float], int]


class Cell(msgspec.Struct, frozen=True):
    """How many rows cost the champion and the candidate this much."""

    champion: float
    candidate: float
    rows: int


class ShadowCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of production's log rows, ``after`` < log_id <= ``until``, answered again by the candidate.

    ``sent`` requests, of which ``failed`` got no answer; ``flips`` answers with another decision. Sums over the
    answered ones: ``distance`` of the scores, ``candidate_ms`` and ``champion_ms`` (the former as the shadow's caller
    saw it; the latter None where the log has no latencies, as Vertex AI's own). ``cells``: costs of the rows with an
    outcome. ``slices``: ``column=value`` -> [answered, flips].
    ``scores``: sums of champion's score, candidate's score and outcome over the rows with an outcome.
    """

    after: int
    until: int
    sent: int = 0
    failed: int = 0
    flips: int = 0
    distance: float = 0.0
    candidate_ms: float = 0.0
    champion_ms: float | None = 0.0
    cells: list[Cell] = []
    slices: dict[str, list[int]] = {}
    scores: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def answered(self) -> int:
        """Requests the candidate answered."""
        return self.sent - self.failed

    @property
    def with_outcome(self) -> int:
        """Rows that have an outcome."""
        return sum(cell.rows for cell in self.cells)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How the answers of a shadow compare, over all its checks.

    ``distance``: mean absolute difference of the scores. ``*_ms``: mean latency, None where unknown. ``*_bias``:
    mean score minus share of outcomes that are 1, None without outcomes. ``slices``: ``column=value`` -> (answered,
    changed decisions), the largest share of changed ones first.
    """

    sent: int
    failed: int
    flips: int
    distance: float
    champion_ms: float | None
    candidate_ms: float
    champion_bias: float | None
    candidate_bias: float | None
    slices: dict[str, tuple[int, int]]

    def __str__(self) -> str:
        answered = self.sent - self.failed
        parts = [f"{self.flips} of {answered} decisions changed, scores {self.distance:.3g} apart"]
        if self.slices and self.flips:
            name, (rows, flips) = next(iter(self.slices.items()))
            parts.append(f"most in {name} ({flips} of {rows})")
        if self.champion_bias is not None:
            parts.append(f"scores above outcomes by {self.candidate_bias:+.3g} vs {self.champion_bias:+.3g}")
        theirs = "unknown" if self.champion_ms is None else f"{self.champion_ms:.3g} ms"
        parts.append(f"{self.candidate_ms:.3g} ms vs {theirs}")
        return "; ".join(parts)


def compared(checks: Sequence[ShadowCheck]) -> Comparison | None:
    """All checks together; None while nothing was answered."""
    answered = sum(check.answered for check in checks)
    if not answered:
        return None
    logged_ms = [check.champion_ms for check in checks if check.champion_ms is not None]
    known = sum(check.with_outcome for check in checks)
    champion, candidate, truth = (sum(check.scores[i] for check in checks) for i in range(3))
    slices: dict[str, tuple[int, int]] = {}
    for check in checks:
        for name, (rows, flips) in check.slices.items():
            before = slices.get(name, (0, 0))
            slices[name] = (before[0] + rows, before[1] + flips)
    return Comparison(
        sent=sum(check.sent for check in checks),
        failed=sum(check.failed for check in checks),
        flips=sum(check.flips for check in checks),
        distance=sum(check.distance for check in checks) / answered,
        champion_ms=sum(logged_ms) / answered if len(logged_ms) == len(checks) else None,
        candidate_ms=sum(check.candidate_ms for check in checks) / answered,
        champion_bias=(champion - truth) / known if known else None,
        candidate_bias=(candidate - truth) / known if known else None,
        slices=dict(sorted(slices.items(), key=lambda item: (-item[1][1] / item[1][0], item[0]))),
    )


def pooled_costs(checks: Sequence[ShadowCheck]) -> dict[tuple[float, float], int]:
    """(champion's cost, candidate's cost) -> rows, over all checks. Order does not matter to a fixed bet."""
    counts: dict[tuple[float, float], int] = {}
    for check in checks:
        for cell in check.cells:
            key = (cell.champion, cell.candidate)
            counts[key] = counts.get(key, 0) + cell.rows
    return counts


def paired_harm(costs: Costs, cap: float) -> float:
    """ln E against "the candidate costs no more than the champion on the same requests"."""
    return _mixture([(min(c, cap) - min(b, cap), n) for (b, c), n in costs.items()], cap)


def paired_noninferiority(costs: Costs, cap: float, margin: float) -> float:
    """ln E against "the candidate costs at least (1 + margin) times as much on the same requests"."""
    ratio = 1 + margin
    return _mixture([(ratio * min(b, cap) - min(c, cap), n) for (b, c), n in costs.items()], cap * ratio)


def _mixture(gains: Sequence[tuple[float, int]], largest: float) -> float:
    """ln of the mean over bets of the product of (1 + bet * gain / largest)."""
    log_e = np.array([sum(n * np.log1p(bet * gain / largest) for gain, n in gains) for bet in BETS], dtype=float)
    highest = log_e.max()
    return float(np.log(np.exp(log_e - highest).mean()) + highest)
