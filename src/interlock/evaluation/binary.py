"""Binary metrics with 95 % intervals, and paired differences of two models on the same rows.

=====================================  =============================================================
metric                                 interval
=====================================  =============================================================
auc                                    DeLong, DeLong & Clarke-Pearson 1988, on the logit scale
log_loss, brier, cost                  normal, over per-row values
precision, recall                      Wilson 1927
average_precision, f1,                 1,000 bootstrap resamples, see interlock.evaluation.bootstrap
calibration_error
=====================================  =============================================================

All functions take labels (n,) in {0, 1} and scores (n,) in [0, 1]. Where a metric is undefined on these rows
(no rows, one class, nothing predicted positive) the value is None: never a number that looks like one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from interlock.config import Cost
from interlock.errors import InputError
from interlock.evaluation import bootstrap
from interlock.evaluation.intervals import Z95, Influence, Interval, logistic, of_influence, of_mean, of_share

BOOTSTRAPPED = ("average_precision", "f1", "calibration_error")
Floats = NDArray[np.float64]


class BinaryAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """Rows with a model's answers, and what turns answers into decisions and decisions into cost."""

    labels: Floats
    scores: Floats
    threshold: float
    cost: Cost

    def subset(self, mask: NDArray[np.bool_]) -> BinaryAnswers:
        """The rows where ``mask`` is true."""
        return msgspec.structs.replace(self, labels=self.labels[mask], scores=self.scores[mask])

    def measure(self, metrics: Sequence[str]) -> dict[str, Interval]:
        """Each metric on these rows."""
        return measure_all(metrics, self)

    def difference(self, metric: str, champion: BinaryAnswers) -> Interval:
        """Candidate (self) minus champion on the same rows in the same order."""
        return paired_difference(metric, self, champion)

    def confusion(self) -> list[list[int]]:
        """See :func:`confusion`."""
        return confusion(self)

    def roc(self) -> list[list[float]]:
        """See :func:`roc_points`."""
        return roc_points(self)

    def told(self) -> Floats:
        """The probabilities of class 1."""
        return self.scores

    def calibration(self) -> list[list[float]]:
        """``[mean score, observed share of label 1, rows]`` per tenth of the rows."""
        return bootstrap.calibration_curve(bootstrap.count_cells(self.labels, self.scores, self.threshold))


def check_scores(scores: Floats, who: str) -> None:
    """:class:`InputError` when a model answers NaN or anything outside [0, 1]."""
    bad = int(np.sum(~((scores >= 0) & (scores <= 1))))
    if bad:
        raise InputError(f"{who}: {bad} of {len(scores)} probabilities are not in [0, 1]: the model cannot be judged")


def measure(metric: str, rows: BinaryAnswers) -> Interval:
    """One metric on these rows."""
    if len(rows.labels) == 0:
        return Interval()
    if metric == "auc":
        return _auc(rows)
    if metric in BOOTSTRAPPED:
        return _bootstrapped(rows)[metric]
    if metric in {"precision", "recall"}:
        chosen = rows.scores >= rows.threshold if metric == "precision" else rows.labels == 1
        hits = int(np.sum((rows.labels == 1) & (rows.scores >= rows.threshold)))
        return of_share(hits, int(np.sum(chosen)))
    return of_mean(per_row(metric, rows))


def measure_all(metrics: Sequence[str], rows: BinaryAnswers) -> dict[str, Interval]:
    """Several metrics on the same rows; those with a bootstrap interval share their resamples."""
    drawn = _bootstrapped(rows) if set(metrics) & set(BOOTSTRAPPED) else {}
    return {metric: drawn[metric] if metric in drawn else measure(metric, rows) for metric in metrics}


def _bootstrapped(rows: BinaryAnswers) -> dict[str, Interval]:
    if int(rows.labels.sum()) in {0, len(rows.labels)}:
        return {metric: Interval() for metric in BOOTSTRAPPED}
    found = bootstrap.intervals(rows.labels, rows.scores, rows.threshold)
    return {metric: Interval(*found[metric]) for metric in BOOTSTRAPPED}


def per_row(metric: str, rows: BinaryAnswers) -> Floats:
    """Per-row values (n,) whose mean is the metric."""
    labels, scores = rows.labels, rows.scores
    if metric == "brier":
        return np.asarray((scores - labels) ** 2)
    if metric == "log_loss":
        clipped = np.clip(scores, 1e-15, 1 - 1e-15)
        return np.asarray(-(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped)))
    if metric == "cost":
        acted = scores >= rows.threshold
        vain, missed = acted & (labels == 0), ~acted & (labels == 1)
        return np.asarray(rows.cost.false_positive * vain + rows.cost.false_negative * missed)
    raise InputError(f"metric {metric!r} is not a mean over rows")


def paired_difference(metric: str, candidate: BinaryAnswers, champion: BinaryAnswers) -> Interval:
    """Candidate minus champion on the same rows in the same order."""
    if not np.array_equal(candidate.labels, champion.labels):
        raise InputError(f"{metric}: candidate and champion were not scored on the same rows")
    if metric == "auc":
        return _auc_difference(candidate, champion)
    if len(candidate.labels) == 0:
        return Interval()
    return of_mean(per_row(metric, candidate) - per_row(metric, champion))


def _placements(rows: BinaryAnswers) -> tuple[Floats, Floats]:
    """DeLong's components: for each positive the share of negatives below it (m,), and the reverse (k,)."""
    positive, negative = rows.scores[rows.labels == 1], rows.scores[rows.labels == 0]
    m, k = len(positive), len(negative)
    order_negative, order_positive = np.sort(negative), np.sort(positive)
    below = np.searchsorted(order_negative, positive, "left") + np.searchsorted(order_negative, positive, "right")
    above = (
        2 * m - np.searchsorted(order_positive, negative, "left") - np.searchsorted(order_positive, negative, "right")
    )
    return below / (2 * k), above / (2 * m)


def _both_classes(rows: BinaryAnswers) -> bool:
    positives = int(rows.labels.sum())
    return min(positives, len(rows.labels) - positives) >= 2


def _auc(rows: BinaryAnswers) -> Interval:
    if not _both_classes(rows):
        return Interval()
    positive, negative = _placements(rows)
    value = float(positive.mean())
    if value in {0.0, 1.0}:  # nothing varies in these rows
        return of_influence(Influence(value, np.zeros(1)), "logit", min(len(positive), len(negative)))
    error = math.sqrt(positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative))
    centre, half = math.log(value / (1 - value)), Z95 * error / (value * (1 - value))
    return Interval(value, logistic(centre - half), logistic(centre + half))


def auc_influence(rows: BinaryAnswers) -> Influence | None:
    """AUC and the pull of each row, from DeLong's components; None where :func:`measure` finds it undefined."""
    if not _both_classes(rows):
        return None
    positive, negative = _placements(rows)
    value = float(positive.mean())
    pulls = np.empty(len(rows.labels))
    pulls[rows.labels == 1] = (positive - value) / math.sqrt(len(positive) * (len(positive) - 1))
    pulls[rows.labels == 0] = (negative - value) / math.sqrt(len(negative) * (len(negative) - 1))
    return Influence(value, pulls)


def _auc_difference(candidate: BinaryAnswers, champion: BinaryAnswers) -> Interval:
    if not _both_classes(candidate):
        return Interval()
    (cp, cn), (bp, bn) = _placements(candidate), _placements(champion)
    value = float(cp.mean() - bp.mean())
    half = Z95 * math.sqrt((cp - bp).var(ddof=1) / len(cp) + (cn - bn).var(ddof=1) / len(cn))
    return Interval(value, value - half, value + half)


def confusion(rows: BinaryAnswers) -> list[list[int]]:
    """``[[true negatives, false positives], [false negatives, true positives]]``."""
    acted, late = rows.scores >= rows.threshold, rows.labels == 1
    return [
        [int(np.sum(~acted & ~late)), int(np.sum(acted & ~late))],
        [int(np.sum(~acted & late)), int(np.sum(acted & late))],
    ]


def roc_points(rows: BinaryAnswers, points: int = 101) -> list[list[float]]:
    """``[threshold, false positive rate, true positive rate]`` at ``points`` quantiles of the score, highest first."""
    thresholds = np.unique(np.quantile(rows.scores, np.linspace(0, 1, points)))[::-1]
    positive, negative = np.sort(rows.scores[rows.labels == 1]), np.sort(rows.scores[rows.labels == 0])
    tpr = 1 - np.searchsorted(positive, thresholds, "left") / max(1, len(positive))
    fpr = 1 - np.searchsorted(negative, thresholds, "left") / max(1, len(negative))
    return [[float(t), float(f), float(p)] for t, f, p in zip(thresholds, fpr, tpr, strict=True)]
