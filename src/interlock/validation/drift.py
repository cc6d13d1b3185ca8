"""Has a distribution changed? Independent of sample size, and honest about chance.

Pure numpy: data validation compares two spans with it, and monitoring live rows with what a model was trained on.

The distance is the Jensen-Shannon divergence in bits between counts over fixed bins (quantiles of the reference;
exact categories). What chance allows is learnt by permutation: both spans are cut into blocks of consecutive days, and
as many blocks as the current span has are drawn again and again from all of them, all features at once, so clustered
rows and features that move together keep their effect. If no block differs from the others but by chance, the actual
draw is one like any other: that is exact, also where one week of storms outweighs ten quiet ones, which a bootstrap of
the reference alone does not know when the storm is in the other span.

The limit holds the largest standardised divergence over all features (Westfall and Young 1993, max-T): the chance
of any false alarm in the whole table is at most ``false_alarm``. Where there are too few different draws to tell so
small a chance, as for a day among a hundred, the limit is extrapolated by the law of extremes. A divergence below
``effect`` is never an alarm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from interlock.contracts import FeatureDrift
from interlock.errors import InputError

Counts = npt.NDArray[np.float64]
LEAST_DAYS = 14
DRAWS_PER_ALARM = 5  # different draws that must be beyond the limit, for it to be read off them
THIN = 0.5  # of the rows that as many days of the reference have


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
    """One result per feature, in order. :class:`InputError` when the reference has too few days to learn from.

    Days of both spans weigh the same, however many rows they have. Where the current span is much thinner, what is
    drawn is thinned to as many rows, so that few rows are allowed what few rows show by chance.
    """
    if not features:
        return []
    reference_days, current_days = len(features[0].reference), len(features[0].current)
    if reference_days < LEAST_DAYS or current_days < 1:
        raise InputError(
            f"drift: reference has {reference_days} days, {LEAST_DAYS} needed, current has {current_days}, 1 needed: "
            "widen validation.reference or the window"
        )
    draw = np.random.default_rng(seed)
    block = max(1, min(block_days, current_days, reference_days // 2))
    first, second = _blocks(reference_days, block), _blocks(current_days, block)
    drawn = _others(draw, resamples, first.max() + 1, second.max() + 1)
    null = np.stack([_null(draw, each, first, second, drawn) for each in features])
    mean, deviation = null.mean(axis=1), null.std(axis=1) + 1e-12
    largest = ((null - mean[:, None]) / deviation[:, None]).max(axis=0)
    standard = float(np.quantile(largest, 1 - false_alarm, method="higher"))
    if math.comb(int(first.max() + second.max()) + 2, int(second.max()) + 1) < DRAWS_PER_ALARM / false_alarm:
        standard = max(standard, _extreme(largest, false_alarm))
    results = []
    for each, centre, spread in zip(features, mean, deviation, strict=True):
        value = float(divergence(each.reference.sum(axis=0), each.current.sum(axis=0)))
        limit = max(effect, float(centre + standard * spread))
        results.append(FeatureDrift(feature=each.feature, divergence=value, limit=limit, alarm=value > limit))
    return results


def _extreme(largest: Counts, level: float) -> float:
    """What ``largest`` exceeds with chance ``level``, where there are too few draws to have seen it: Gumbel's law of
    maxima, by their mean and deviation.
    """
    scale = float(largest.std()) * math.sqrt(6) / math.pi
    return float(largest.mean()) - np.euler_gamma * scale - scale * math.log(-math.log1p(-level))


def _blocks(days: int, block: int) -> npt.NDArray[np.int64]:
    """The block of each day; the last may be shorter."""
    return np.arange(days) // block


def _others(draw: np.random.Generator, resamples: int, reference: int, current: int) -> Counts:
    """Draws of ``current`` blocks out of all, ones and zeros (draws, blocks), the actual draw not among them.

    The current span's own blocks come last.
    """
    blocks = reference + current
    order = draw.random((resamples, blocks)).argsort(axis=1)[:, :current]
    drawn = np.zeros((resamples, blocks))
    np.put_along_axis(drawn, order, 1.0, axis=1)
    actual = drawn[:, reference:].all(axis=1)
    return drawn[~actual]


def _null(
    draw: np.random.Generator,
    feature: FeatureCounts,
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    drawn: Counts,
) -> Counts:
    """The divergence of what is drawn from what is left, (draws,)."""
    rows = float(feature.current.sum())
    alike = float(feature.reference.sum()) * len(feature.current) / len(feature.reference)
    blocks = np.concatenate(
        [_sums(feature.reference, first), _sums(feature.current * (alike / max(rows, 1.0)), second)]
    )
    current = drawn @ blocks
    rest = blocks.sum(axis=0) - current
    if rows < THIN * alike:
        shares = (current + 1e-9) / (current + 1e-9).sum(axis=1, keepdims=True)
        current = draw.multinomial(int(rows), shares).astype(np.float64)
    found: Counts = divergence(rest, current)
    return found


def _sums(days: Counts, block: npt.NDArray[np.int64]) -> Counts:
    total = np.zeros((block.max() + 1, days.shape[1]))
    np.add.at(total, block, days)
    return total
