"""Has a distribution changed? Independent of sample size, and honest about chance.

Pure numpy: data validation compares two spans with it, and monitoring can compare live rows with a span.

The distance is the Jensen-Shannon divergence in bits between counts over fixed bins (quantiles of the reference;
exact categories). What chance allows is learnt from the reference itself: blocks of consecutive days are drawn
from it for both sides, all features at once, so clustered rows and features that move together keep their effect.
The limit holds the largest standardised divergence over all features (Westfall and Young 1993, max-T): the chance
of any false alarm in the whole table is at most ``false_alarm``. A divergence below ``effect`` is never an alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from interlock.contracts import FeatureDrift
from interlock.errors import InputError

Counts = npt.NDArray[np.float64]
LEAST_DAYS = 14


class FeatureCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows per day and bin, shape (days, bins), of one feature in both spans, over the same bins."""

    feature: str
    reference: Any
    current: Any


def quantile_edges(values: npt.NDArray[Any], bins: int = 10) -> npt.NDArray[np.float64]:
    """Inner borders that cut finite ``values`` into at most ``bins`` nearly equal parts, ascending, without repeats."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return np.empty(0)
    return np.unique(np.quantile(finite, np.arange(1, bins) / bins, method="inverted_cdf"))


def number_bins(values: npt.NDArray[Any], edges: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Bin per value, 0 .. len(edges); a missing value (NaN) has the bin behind the last."""
    found = np.searchsorted(edges, values, side="left").astype(np.int64)
    found[np.isnan(values)] = len(edges) + 1
    return found


def divergence(p: Counts, q: Counts) -> Any:
    """Jensen-Shannon divergence in bits over the last axis of two count arrays, half a row added to each bin."""
    a, b = (counts + 0.5 for counts in (p, q))
    a, b = (counts / counts.sum(axis=-1, keepdims=True) for counts in (a, b))
    mixed = (a + b) / 2
    return np.maximum(0.0, 0.5 * (a * np.log2(a / mixed) + b * np.log2(b / mixed)).sum(axis=-1))


def detect_drift(
    features: Sequence[FeatureCounts],
    *,
    false_alarm: float = 0.01,
    effect: float = 0.002,
    block_days: int = 7,
    resamples: int = 2000,
    seed: int = 0,
) -> list[FeatureDrift]:
    """One result per feature, in order. :class:`InputError` when the reference has too few days to learn from."""
    if not features:
        return []
    reference_days, current_days = len(features[0].reference), len(features[0].current)
    if reference_days < LEAST_DAYS or current_days < 1:
        raise InputError(
            f"drift: reference has {reference_days} days, {LEAST_DAYS} needed, current has {current_days}, 1 needed: "
            "widen validation.reference or the window"
        )
    draw = np.random.default_rng(seed)
    block = min(block_days, reference_days // 2)
    first = _day_weights(draw, resamples, reference_days, reference_days, block)
    second = _day_weights(draw, resamples, reference_days, current_days, block)
    null = np.stack([divergence(first @ each.reference, second @ each.reference) for each in features])
    mean, deviation = null.mean(axis=1), null.std(axis=1) + 1e-12
    largest = ((null - mean[:, None]) / deviation[:, None]).max(axis=0)
    standard = float(np.quantile(largest, 1 - false_alarm, method="higher"))
    results = []
    for each, centre, spread in zip(features, mean, deviation, strict=True):
        value = float(divergence(each.reference.sum(axis=0), each.current.sum(axis=0)))
        limit = max(effect, float(centre + standard * spread))
        results.append(FeatureDrift(feature=each.feature, divergence=value, limit=limit, alarm=value > limit))
    return results


def _day_weights(draw: np.random.Generator, resamples: int, days: int, wanted: int, block: int) -> Counts:
    """How often each day is drawn, shape (resamples, days): circular blocks of consecutive days, ``wanted`` in all."""
    blocks = -(-wanted // block)
    starts = draw.integers(0, days, (resamples, blocks))
    drawn = (starts[:, :, None] + np.arange(block)) % days
    drawn = drawn.reshape(resamples, -1)[:, :wanted]
    flat = drawn + days * np.arange(resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=days * resamples).reshape(resamples, days).astype(np.float64)
