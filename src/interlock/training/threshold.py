"""The decision threshold, chosen on the validation split by the cost of being wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from interlock.config import Cost


def cheapest_threshold(labels: NDArray[np.int8], scores: NDArray[np.float32], cost: Cost) -> float:
    """Threshold with the lowest mean cost on these rows; label 1 is predicted when score >= threshold.

    labels, scores: shape (n,). Ties go to the highest threshold: act on fewer rows for the same cost.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, positive = scores[order].astype(np.float64), labels[order].astype(np.float64)
    # Acting on the k highest scores: everything else that is positive is missed.
    missed = positive.sum() - np.concatenate([[0.0], np.cumsum(positive)])
    vain = np.concatenate([[0.0], np.cumsum(1 - positive)])
    total = cost.false_negative * missed + cost.false_positive * vain
    # Equal scores are not parted; a score of 1 is always acted upon, for no threshold is above it.
    cut_allowed = np.concatenate([ordered[:1] < 1, ordered[1:] < ordered[:-1], [True]])
    best = int(np.argmin(np.where(cut_allowed, total, np.inf)))
    if best == 0:
        return 1.0
    below = ordered[best] if best < len(ordered) else 0.0
    return float((ordered[best - 1] + below) / 2)
