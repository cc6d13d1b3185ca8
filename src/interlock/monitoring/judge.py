"""Stage 9, monitoring: is the version in production still the one that was evaluated?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from interlock.config import Config
from interlock.contracts import Evaluation, MonitoringReport
from interlock.monitoring.window import Window


def judge_window(config: Config, *, version: str, evaluation: Evaluation, window: Window) -> MonitoringReport:
    """Alert on drifted scores, on cost beyond the post-deploy margin, and on outcomes that stay away.

    A window with fewer than ``monitoring.minimum_rows`` requests is "not enough data", never "ok".
    """
    expected = next((m.value for m in evaluation.measures if m.metric == "cost" and not m.slice), None)
    cost = window.total_cost / window.with_outcome if window.with_outcome else None
    divergence = score_divergence(window.tenths)
    least = config.monitoring.minimum_rows
    if window.requests < least:
        verdict, reasons = "not enough data", [f"{window.requests} requests < {least} required"]
    else:
        reasons = _alarms(config, window, cost, expected, divergence)
        verdict = "alert" if reasons else "ok"
    return MonitoringReport(
        endpoint=config.name,
        version=version,
        since=window.since,
        until=window.until,
        requests=window.requests,
        failed=window.failed,
        with_outcome=window.with_outcome,
        cost=cost,
        expected_cost=expected,
        score_divergence=divergence,
        verdict=verdict,
        reasons=reasons,
    )


def _alarms(
    config: Config, window: Window, cost: float | None, expected: float | None, divergence: float | None
) -> list[str]:
    reasons = []
    limit = config.monitoring.drift_limit
    if divergence is None or divergence > limit:
        shown = "unknown" if divergence is None else f"{divergence:.4f}"
        reasons.append(f"score divergence {shown} > {limit:g} bits")
    share = window.with_outcome / window.requests
    least = config.strategy.minimum_outcome_share
    if share < least:
        reasons.append(f"outcomes for {share:.1%} of requests < {least:.0%} required")
    if cost is not None and expected is not None and cost > expected * (1 + config.post_deploy.margin):
        most = expected * (1 + config.post_deploy.margin)
        reasons.append(f"cost {cost:.4f} > {most:.4f}, the evaluated {expected:.4f} plus the margin")
    return reasons


def score_divergence(tenths: Sequence[int]) -> float | None:
    """Jensen-Shannon divergence, in bits, of live scores against ten equal shares; None without a score."""
    total = sum(tenths)
    if total == 0:
        return None
    shares = [count / total for count in tenths]
    equal = 1 / len(tenths)
    return max(0.0, sum(_half(share, (share + equal) / 2) + _half(equal, (share + equal) / 2) for share in shares))


def _half(p: float, mixed: float) -> float:
    return 0.5 * p * math.log2(p / mixed) if p > 0 else 0.0
