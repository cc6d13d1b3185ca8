"""Multiclass metrics with 95 % intervals, and paired differences of two models on the same rows.

=====================================  =============================================================
metric                                 interval
=====================================  =============================================================
accuracy, precision:C, recall:C        Wilson 1927
log_loss, brier                        normal, over per-row values
auc:C                                  DeLong, class C against the rest
f1:C, and the macro averages           influence of each row, on the logit scale
calibration_error                      1,000 bootstrap resamples: is the likeliest class as likely as it says
=====================================  =============================================================

A macro average is over the classes that have rows here; a class that is never predicted has precision 0 in it.
``brier`` is half the squared distance to the truth, in [0, 1], as for two classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from interlock.config import Cost
from interlock.errors import InputError
from interlock.evaluation import bootstrap
from interlock.evaluation.binary import BinaryAnswers, auc_influence
from interlock.evaluation.binary import measure as binary_measure
from interlock.evaluation.intervals import Influence, Interval, of_difference, of_influence, of_mean, of_share

Floats = NDArray[np.float64]
SUM_TOLERANCE = 1e-3


class ClassAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """Rows with a model's answers. labels: (n,) places in ``classes``; scores: (n, classes) probabilities."""

    labels: NDArray[np.int64]
    scores: Floats
    classes: list[str]

    def subset(self, mask: NDArray[np.bool_]) -> ClassAnswers:
        """The rows where ``mask`` is true."""
        return msgspec.structs.replace(self, labels=self.labels[mask], scores=self.scores[mask])

    def measure(self, metrics: Sequence[str]) -> dict[str, Interval]:
        """Each metric on these rows."""
        return {metric: measure(metric, self) for metric in metrics}

    def difference(self, metric: str, champion: ClassAnswers) -> Interval:
        """Candidate (self) minus champion on the same rows in the same order."""
        if not np.array_equal(self.labels, champion.labels):
            raise InputError(f"{metric}: candidate and champion were not scored on the same rows")
        mine, theirs = influence(metric, self), influence(metric, champion)
        return of_difference(mine, theirs) if mine and theirs else Interval()

    def confusion(self) -> list[list[int]]:
        """A row per true class, a column per predicted one."""
        size = len(self.classes)
        counts = np.bincount(self.labels * size + self.predicted(), minlength=size * size)
        found: list[list[int]] = counts.reshape(size, size).tolist()
        return found

    def roc(self) -> list[list[float]]:
        """There is one curve per class, not one."""
        return []

    def told(self) -> Floats:
        """One number per row: the probability of the likeliest class, (n,)."""
        return np.asarray(self.scores.max(axis=1))

    def calibration(self) -> list[list[float]]:
        """``[mean probability of the likeliest class, share of rows where it is right, rows]`` per tenth."""
        return bootstrap.calibration_curve(bootstrap.count_cells(self.right(), self.told(), 0.5))

    def predicted(self) -> NDArray[np.int64]:
        """The likeliest class, (n,)."""
        return np.asarray(self.scores.argmax(axis=1))

    def right(self) -> Floats:
        """1 where the likeliest class is the true one, (n,)."""
        return np.asarray(self.predicted() == self.labels, np.float64)


def check_scores(scores: Floats, who: str) -> None:
    """:class:`InputError` when a model answers NaN, anything outside [0, 1], or rows that do not sum to 1."""
    good = ((scores >= 0) & (scores <= 1)).all(axis=1) & (np.abs(scores.sum(axis=1) - 1) <= SUM_TOLERANCE)
    bad = int(np.sum(~good))
    if bad:
        raise InputError(f"{who}: {bad} of {len(scores)} rows are no probabilities: the model cannot be judged")


def measure(metric: str, rows: ClassAnswers) -> Interval:
    """One metric on these rows."""
    if len(rows.labels) == 0:
        return Interval()
    name, _, class_name = metric.partition(":")
    if metric in {"log_loss", "brier"}:
        return of_mean(_per_row(metric, rows))
    if metric == "calibration_error":
        return Interval(*bootstrap.calibration_interval(rows.right(), rows.told()))
    if class_name and name == "auc":
        return binary_measure("auc", _one_against_rest(rows, rows.classes.index(class_name)))
    if name in {"accuracy", "precision", "recall"}:
        return _share(name, rows, rows.classes.index(class_name) if class_name else None)
    found = influence(metric, rows)
    counts = np.bincount(rows.labels, minlength=len(rows.classes))
    return of_influence(found, "logit", int(counts[counts > 0].min())) if found else Interval()


def _share(name: str, rows: ClassAnswers, place: int | None) -> Interval:
    """Of all rows, or of those called ``place`` (precision), or of those that are (recall), how many are right."""
    chosen = np.ones(len(rows.labels), np.bool_)
    if place is not None:
        chosen = (rows.predicted() if name == "precision" else rows.labels) == place
    return of_share(int(rows.right()[chosen].sum()), int(chosen.sum()))


def influence(metric: str, rows: ClassAnswers) -> Influence | None:
    """Value and pull of each row; None where the metric is undefined."""
    if len(rows.labels) == 0:
        return None
    if metric in {"log_loss", "brier", "accuracy"}:
        values = rows.right() if metric == "accuracy" else _per_row(metric, rows)
        mean = float(values.mean())
        return Influence(mean, (values - mean) / len(values))
    name, _, class_name = metric.partition(":")
    if class_name:
        return _of_class(name, rows, rows.classes.index(class_name), rows.predicted())
    return _macro(name.removesuffix("_macro"), rows)


def _macro(name: str, rows: ClassAnswers) -> Influence | None:
    counts = np.bincount(rows.labels, minlength=len(rows.classes))
    predicted = rows.predicted()
    found = []
    for place in np.flatnonzero(counts):
        one = _of_class(name, rows, int(place), predicted)
        if one is None and name == "precision":
            one = Influence(0.0, np.zeros(len(rows.labels)))
        if one is None:
            return None
        found.append(one)
    return Influence(
        float(np.mean([one.value for one in found])), np.asarray(np.mean([one.rows for one in found], axis=0))
    )


def _of_class(name: str, rows: ClassAnswers, place: int, predicted: NDArray[np.int64]) -> Influence | None:
    is_class, called = rows.labels == place, predicted == place
    if name == "auc":
        return auc_influence(_one_against_rest(rows, place))
    hits = (is_class & called).astype(np.float64)
    # Each is a ratio of sums over rows: hits / called, hits / true, 2 hits / (called + true).
    if name == "f1":
        hits *= 2
    parts: dict[str, NDArray[Any]] = {"precision": called, "recall": is_class, "f1": called * 1.0 + is_class}
    below = parts[name].astype(np.float64)
    total = float(below.sum())
    if total == 0 or (name == "f1" and not is_class.any()):
        return None
    value = float(hits.sum()) / total
    return Influence(value, (hits - value * below) / total)


def _one_against_rest(rows: ClassAnswers, place: int) -> BinaryAnswers:
    labels = (rows.labels == place).astype(np.float64)
    free = Cost(false_positive=0.0, false_negative=0.0)
    return BinaryAnswers(labels=labels, scores=rows.scores[:, place], threshold=0.5, cost=free)


def _per_row(metric: str, rows: ClassAnswers) -> Floats:
    n = len(rows.labels)
    if metric == "log_loss":
        return np.asarray(-np.log(np.clip(rows.scores[np.arange(n), rows.labels], 1e-15, 1.0)))
    gaps = rows.scores.copy()
    gaps[np.arange(n), rows.labels] -= 1
    return np.asarray((gaps**2).sum(axis=1) / 2)
