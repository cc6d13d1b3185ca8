"""Bootstrap intervals for the metrics whose closed form is not honest: average precision, F1, calibration error.

Rows are first counted in cells by score and label. Drawing rows with replacement is drawing cell counts from a
multinomial, so a thousand resamples of any number of rows cost what the cells cost. The value itself is computed
from the rows; cells only say how it varies. The threshold is a border of cells, so F1 is exact on them.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

RESAMPLES, CELLS, TENTHS = 1000, 100, 10
Floats = NDArray[np.float64]


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """Rows counted by score, lowest first. All arrays are (cells,): counts per label, mean score, tenth of the rows.

    ``acted``: whether the cell is at or above the threshold.
    """

    negatives: Floats
    positives: Floats
    mean_scores: Floats
    tenths: NDArray[np.int64]
    acted: NDArray[np.bool_]


def count_cells(labels: Floats, scores: Floats, threshold: float) -> Cells:
    """Cells of equally many rows; rows with one score share a cell."""
    borders = np.unique(np.append(np.quantile(scores, np.linspace(0, 1, CELLS + 1)), threshold))
    cell = np.searchsorted(borders, scores, side="right")
    size = len(borders) + 1
    counts = np.bincount(cell, minlength=size).astype(np.float64)
    kept = counts > 0
    positives = np.bincount(cell, weights=labels, minlength=size)[kept].astype(np.float64)
    sums = np.bincount(cell, weights=scores, minlength=size)[kept]
    counts = counts[kept]
    before = np.cumsum(counts) - counts / 2
    lowest = np.concatenate([[-np.inf], borders])[kept]
    return Cells(
        negatives=counts - positives,
        positives=positives,
        mean_scores=sums / counts,
        tenths=np.minimum((TENTHS * before / len(labels)).astype(np.int64), TENTHS - 1),
        acted=lowest >= threshold,
    )


def resample(cells: Cells, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Floats, Floats]:
    """Counts of negatives and positives, both (resamples, cells), as drawing rows with replacement gives them."""
    counts = np.concatenate([cells.negatives, cells.positives])
    rows = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(rows, counts / rows, size=resamples).astype(np.float64)
    return drawn[:, : len(cells.negatives)], drawn[:, len(cells.negatives) :]


def average_precision(negatives: Floats, positives: Floats) -> Floats:
    """Per resample (r, cells) -> (r,): precision at each score, weighted by the recall gained there."""
    hits, vain = (np.cumsum(counts[:, ::-1], axis=1) for counts in (positives, negatives))
    precision = hits / np.maximum(hits + vain, 1)
    return np.asarray((precision * positives[:, ::-1]).sum(axis=1) / np.maximum(hits[:, -1], 1))


def f1(negatives: Floats, positives: Floats, acted: NDArray[np.bool_]) -> Floats:
    """Per resample: harmonic mean of precision and recall of the cells acted upon."""
    hits, vain = positives[:, acted].sum(axis=1), negatives[:, acted].sum(axis=1)
    missed = positives[:, ~acted].sum(axis=1)
    return np.asarray(2 * hits / np.maximum(2 * hits + vain + missed, 1))


def calibration_error(negatives: Floats, positives: Floats, cells: Cells) -> Floats:
    """Per resample: mean distance of mean score and observed share over tenths of the rows."""
    first = np.flatnonzero(np.diff(cells.tenths, prepend=-1))
    expected = np.add.reduceat((negatives + positives) * cells.mean_scores, first, axis=1)
    observed = np.add.reduceat(positives, first, axis=1)
    return np.asarray(np.abs(expected - observed).sum(axis=1) / (negatives + positives).sum(axis=1))


def calibration_curve(cells: Cells) -> list[list[float]]:
    """``[mean score, observed share of label 1, rows]`` per tenth of the rows, lowest scores first."""
    counts = cells.negatives + cells.positives
    rows = np.bincount(cells.tenths, weights=counts)
    kept = rows > 0
    means = np.bincount(cells.tenths, weights=counts * cells.mean_scores)[kept] / rows[kept]
    shares = np.bincount(cells.tenths, weights=cells.positives)[kept] / rows[kept]
    return [[float(mean), float(share), float(n)] for mean, share, n in zip(means, shares, rows[kept], strict=True)]


def intervals(labels: Floats, scores: Floats, threshold: float) -> dict[str, tuple[float, float, float]]:
    """Value, lower and upper 95 % bound of every metric here, all from the same resamples. Both labels must occur."""
    from sklearn.metrics import average_precision_score

    cells = count_cells(labels, scores, threshold)
    drawn = resample(cells)
    once = cells.negatives[None, :], cells.positives[None, :]
    precision = float(average_precision_score(labels, scores))
    # Ties that cells make move the value a little; the same little is in every resample and cancels.
    varied = average_precision(*drawn) - average_precision(*once)
    harmonic = float(f1(*once, cells.acted)[0])
    distance = float(calibration_error(*once, cells)[0])
    return {
        "average_precision": (precision, *_percentiles(precision + varied)),
        "f1": (harmonic, *_percentiles(f1(*drawn, cells.acted))),
        "calibration_error": (distance, *_reflected(distance, calibration_error(*drawn, cells))),
    }


def calibration_interval(labels: Floats, scores: Floats) -> tuple[float, float, float]:
    """Calibration error with its 95 % bounds; one label alone is enough."""
    cells = count_cells(labels, scores, 0.5)
    value = float(calibration_error(cells.negatives[None, :], cells.positives[None, :], cells)[0])
    return (value, *_reflected(value, calibration_error(*resample(cells), cells)))


def _percentiles(drawn: Floats) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return max(0.0, float(low)), min(1.0, float(high))


def _reflected(value: float, drawn: Floats) -> tuple[float, float]:
    """Of a distance, which resampling only makes larger: the excess is taken off (basic bootstrap)."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return max(0.0, min(value, 2 * value - float(high))), max(value, 2 * value - float(low))
