"""Bounds on what was counted, at any level: one-sided, so that "shown worse" has a chance that adds up."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

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


def largest_share(hits: npt.NDArray[Any], n: npt.NDArray[Any], level: float) -> float:
    """The share that a stretch of time exceeds by chance with probability ``level``, learnt from stretches alike.

    ``hits`` of ``n`` rows, each of shape (stretches,). Gaps come in clusters, so that days differ more than rows drawn
    one by one: the beta distribution with the mean and variance of their shares says by how much.
    """
    from scipy.special import betaincinv

    total = n.sum()
    mean = float(hits.sum() / total) if total else 0.0
    shares = hits / np.maximum(n, 1)
    variance = float(((shares - mean) ** 2 * n).sum() / total) if total else 0.0
    if variance == 0 or not 0 < mean < 1:
        return mean
    rows = max(mean * (1 - mean) / variance - 1, 1e-3)  # as many rows drawn one by one would vary like this
    return float(betaincinv(mean * rows, (1 - mean) * rows, 1 - level))


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
