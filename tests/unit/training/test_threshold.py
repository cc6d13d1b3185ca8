"""The threshold is the cheapest one there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import Cost
from interlock.training.threshold import cheapest_threshold

ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])), min_size=1, max_size=25
)


def total_cost(labels: np.ndarray, scores: np.ndarray, threshold: float, cost: Cost) -> float:
    acted = scores >= threshold
    return float(
        cost.false_positive * (acted & (labels == 0)).sum() + cost.false_negative * (~acted & (labels == 1)).sum()
    )


@given(ROWS, st.floats(0, 10), st.floats(0, 10))
def test_no_threshold_is_cheaper(rows: list[tuple[int, float]], vain: float, missed: float) -> None:
    labels = np.array([label for label, _ in rows], np.int8)
    scores = np.array([score for _, score in rows], np.float32)
    cost = Cost(false_positive=vain, false_negative=missed)
    found = cheapest_threshold(labels, scores, cost)
    # 1.0 is the highest a probability can be asked to reach: rows that score it are acted upon.
    others = [0.0, *np.unique(scores), 1.0]
    cheapest = min(total_cost(labels, scores, t, cost) for t in others)
    assert total_cost(labels, scores, found, cost) == pytest.approx(cheapest)


def test_ties_act_on_fewer_rows() -> None:
    labels, scores = np.array([0, 1], np.int8), np.array([0.2, 0.8], np.float32)
    assert cheapest_threshold(labels, scores, Cost(false_positive=0, false_negative=1)) == pytest.approx(0.5)
