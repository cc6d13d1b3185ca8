"""95 % intervals in closed form: of a mean, of a share, and of anything whose value rows pull on.

Influence: how much one row moves a metric. The variance of the metric is the sum of their squares (infinitesimal
jackknife, Efron 1982), and the difference of two models' influences row by row is the influence of the difference,
so every metric that has one can be compared in pairs.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
Floats = NDArray[np.float64]


class Interval(msgspec.Struct, frozen=True):
    """A value and its 95 % bounds; all None where the metric is undefined."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class Influence(msgspec.Struct, frozen=True):
    """A value, and how much each row pulls on it: (n,), summing to zero."""

    value: float
    rows: Floats

    @property
    def error(self) -> float:
        """Standard error."""
        return math.sqrt(float(np.sum(self.rows**2)))


def of_mean(values: NDArray[Any]) -> Interval:
    """Normal."""
    mean = float(np.mean(values))
    half = Z95 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return Interval(mean, mean - half, mean + half) if math.isfinite(half) else Interval()


def of_share(hits: int, n: int) -> Interval:
    """Wilson 1927."""
    if n == 0:
        return Interval()
    p, z2 = hits / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Interval(p, max(0.0, centre - half), min(1.0, centre + half))


def of_influence(found: Influence, scale: Literal["plain", "log", "logit"], fewest: int) -> Interval:
    """Normal on ``scale``. A value in [0, 1] at its end says nothing of itself: as many wins in a row as the rarest
    group has rows, ``fewest``, still allow for losses: the exact binomial bound.
    """
    value, error = found.value, found.error
    if scale == "logit":
        if value in {0.0, 1.0}:
            slack = 0.025 ** (1 / max(fewest, 1))
            return Interval(value, slack, 1.0) if value == 1.0 else Interval(value, 0.0, 1 - slack)
        centre, half = math.log(value / (1 - value)), Z95 * error / (value * (1 - value))
        return Interval(value, logistic(centre - half), logistic(centre + half))
    if scale == "log" and value > 0:
        half = Z95 * error / value
        return Interval(value, value * math.exp(-half), value * math.exp(half))
    return Interval(value, value - Z95 * error, value + Z95 * error)


def of_difference(candidate: Influence, champion: Influence) -> Interval:
    """Candidate minus champion on the same rows."""
    return of_influence(Influence(candidate.value - champion.value, candidate.rows - champion.rows), "plain", 1)


def logistic(x: float) -> float:
    """From the logit scale."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
