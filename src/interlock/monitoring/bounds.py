"""Bounds on what was counted, at any level: one-sided, so that "shown worse" has a chance that adds up."""

from __future__ import annotations

import math
from statistics import NormalDist

from interlock.contracts import MonitoringCheck


def deviate(level: float) -> float:
    """Standard errors that an estimate exceeds by chance with probability ``level``."""
    return NormalDist().inv_cdf(1 - level)


def share_bounds(hits: float, n: int, z: float) -> tuple[float, float]:
    """Wilson 1927; (0, 1) of nothing."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = hits / n, z * z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z * math.sqrt(max(p * (1 - p), 0.0) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def share_check(check: str, about: str, hits: int, n: int, *, limit: float, z: float, what: str) -> MonitoringCheck:
    """An alarm when a share is shown to exceed ``limit``: its lower bound does. Nothing counted is ``missing``."""
    if n == 0:
        return MonitoringCheck(
            check=check, about=about, status="missing", limit=limit, reason=f"{what}: nothing to count"
        )
    low, high = share_bounds(hits, n, z)
    alarm = low > limit
    sign = ">" if alarm else "<="
    reason = f"{what}: {hits} of {n}, {hits / n:.2%}, at least {low:.2%} {sign} {limit:.2%}"
    return MonitoringCheck(
        check=check, about=about, status="alarm" if alarm else "ok", value=hits / n, low=low, high=high, limit=limit,
        reason=reason,
    )  # fmt: skip


def missing(check: str, reason: str, about: str = "") -> MonitoringCheck:
    """No data: never good news."""
    return MonitoringCheck(check=check, about=about, status="missing", reason=reason)
