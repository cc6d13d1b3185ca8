"""Regression metrics with 95 % intervals, and paired differences of two models on the same rows.

===================  ==========================================================================================
metric               interval
===================  ==========================================================================================
mae, bias            normal, over per-row values; ``bias`` is mean answer minus mean label
quantile_loss:Q      the same; an answer too low by 1 costs Q, too high by 1 costs 1 - Q (Koenker & Bassett 1978)
rmse                 influence of each row, on the log scale
r2                   influence of each row
===================  ==========================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from interlock.errors import InputError
from interlock.evaluation.intervals import Influence, Interval, of_difference, of_influence

Floats = NDArray[np.float64]
TENTHS = 10


class ValueAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """Rows with a model's answers. labels, scores: (n,) in the unit of the label."""

    labels: Floats
    scores: Floats

    def subset(self, mask: NDArray[np.bool_]) -> ValueAnswers:
        """The rows where ``mask`` is true."""
        return ValueAnswers(labels=self.labels[mask], scores=self.scores[mask])

    def measure(self, metrics: Sequence[str]) -> dict[str, Interval]:
        """Each metric on these rows."""
        return {metric: measure(metric, self) for metric in metrics}

    def difference(self, metric: str, champion: ValueAnswers) -> Interval:
        """Candidate (self) minus champion on the same rows in the same order."""
        if not np.array_equal(self.labels, champion.labels):
            raise InputError(f"{metric}: candidate and champion were not scored on the same rows")
        mine, theirs = influence(metric, self), influence(metric, champion)
        return of_difference(mine, theirs) if mine and theirs else Interval()

    def confusion(self) -> list[list[int]]:
        """Values are not confused."""
        return []

    def roc(self) -> list[list[float]]:
        """Values have no threshold."""
        return []

    def told(self) -> Floats:
        """The values."""
        return self.scores

    def calibration(self) -> list[list[float]]:
        """``[mean answer, mean label, rows]`` per tenth of the rows, lowest answers first."""
        order = np.argsort(self.scores, kind="stable")
        parts = [part for part in np.array_split(order, TENTHS) if len(part)]
        return [[float(self.scores[p].mean()), float(self.labels[p].mean()), float(len(p))] for p in parts]


def check_scores(scores: Floats, who: str) -> None:
    """:class:`InputError` when a model answers NaN or infinity."""
    bad = int(np.sum(~np.isfinite(scores)))
    if bad:
        raise InputError(f"{who}: {bad} of {len(scores)} answers are not finite: the model cannot be judged")


def measure(metric: str, rows: ValueAnswers) -> Interval:
    """One metric on these rows; undefined on fewer than two."""
    found = influence(metric, rows)
    if found is None:
        return Interval()
    return of_influence(found, "log" if metric == "rmse" else "plain", len(rows.labels))


def influence(metric: str, rows: ValueAnswers) -> Influence | None:
    """Value and pull of each row; None where the metric is undefined."""
    n = len(rows.labels)
    if n < 2:
        return None
    errors = rows.scores - rows.labels
    if metric == "rmse":
        squares = errors**2
        value = math.sqrt(float(squares.mean()))
        return Influence(value, (squares - value**2) / (2 * value * n) if value > 0 else np.zeros(n))
    if metric == "r2":
        spread = (rows.labels - rows.labels.mean()) ** 2
        variance = float(spread.mean())
        if variance == 0:
            return None
        unexplained = float((errors**2).mean()) / variance
        return Influence(1 - unexplained, (unexplained * spread - errors**2) / (variance * n))
    values = _per_row(metric, errors)
    mean = float(values.mean())
    return Influence(mean, (values - mean) / math.sqrt(n * (n - 1)))


def _per_row(metric: str, errors: Floats) -> Floats:
    if metric == "bias":
        return errors
    if metric == "mae":
        return np.asarray(np.abs(errors))
    name, _, quantile = metric.partition(":")
    if name != "quantile_loss":
        raise InputError(f"metric {metric!r} is not one of a regression")
    return np.asarray(np.maximum(-float(quantile) * errors, (1 - float(quantile)) * errors))
