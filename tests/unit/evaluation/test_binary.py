"""Metrics against scikit-learn and against counting by hand; intervals against resampling and by their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from interlock.config import OFFLINE_METRICS, Cost
from interlock.errors import InputError
from interlock.evaluation.binary import (
    BinaryAnswers,
    check_scores,
    confusion,
    measure,
    measure_all,
    paired_difference,
    roc_points,
)
from interlock.evaluation.bootstrap import calibration_curve, count_cells

COST = Cost(false_positive=1, false_negative=5)


def draw(rows: int, seed: int, signal: float = 1.5) -> BinaryAnswers:
    """Scores that are true probabilities."""
    random = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-(signal * random.normal(size=rows) - 1)))
    labels = (random.random(rows) < scores).astype(np.float64)
    return BinaryAnswers(labels=labels, scores=scores, threshold=0.3, cost=COST)


def test_values_are_scikit_learns() -> None:
    rows = draw(3000, 1)
    acted = rows.scores >= rows.threshold
    expected = {
        "auc": reference.roc_auc_score(rows.labels, rows.scores),
        "average_precision": reference.average_precision_score(rows.labels, rows.scores),
        "log_loss": reference.log_loss(rows.labels, rows.scores),
        "brier": reference.brier_score_loss(rows.labels, rows.scores),
        "precision": reference.precision_score(rows.labels, acted),
        "recall": reference.recall_score(rows.labels, acted),
        "f1": reference.f1_score(rows.labels, acted),
        "cost": np.mean(1 * (acted & (rows.labels == 0)) + 5 * (~acted & (rows.labels == 1))),
    }
    found = measure_all(OFFLINE_METRICS, rows)
    for metric, value in expected.items():
        assert found[metric].value == pytest.approx(value, abs=1e-12), metric
    assert confusion(rows) == reference.confusion_matrix(rows.labels, acted).tolist()


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.2, 0.3, 0.4])), min_size=4, max_size=30))
def test_auc_counts_pairs_and_halves_ties(rows: list[tuple[int, float]]) -> None:
    labels, scores = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    found = measure("auc", BinaryAnswers(labels=labels, scores=scores, threshold=0.5, cost=COST))
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    if min(labels.sum(), len(labels) - labels.sum()) < 2:
        assert found.value is None
    else:
        assert found.value == pytest.approx(np.mean(pairs))
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(
    "metric", ["auc", "average_precision", "f1", "log_loss", "brier", "precision", "recall", "cost"]
)
def test_intervals_are_as_wide_as_resampling_rows_says(metric: str) -> None:
    rows = draw(1500, 2)
    random = np.random.default_rng(0)
    resampled = []
    for _ in range(300):
        chosen = random.integers(0, 1500, 1500)
        part = rows.subset(chosen)
        plain = "auc" if metric == "auc" else metric
        resampled.append(_plain(plain, part))
    found = measure(metric, rows)
    assert found.high is not None
    assert found.low is not None
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(resampled), rel=0.2)


def _plain(metric: str, rows: BinaryAnswers) -> float:
    """A value without the work of an interval."""
    acted = rows.scores >= rows.threshold
    if metric == "average_precision":
        return float(reference.average_precision_score(rows.labels, rows.scores))
    if metric == "f1":
        return float(reference.f1_score(rows.labels, acted))
    value = measure(metric, rows).value
    assert value is not None
    return value


@pytest.mark.parametrize("metric", ["auc", "average_precision", "f1"])
def test_intervals_cover_the_truth_95_times_in_100(metric: str) -> None:
    truth = _plain(metric, draw(400_000, 99))
    inside = 0
    for seed in range(100):
        found = measure(metric, draw(400, seed))
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth <= found.high
    assert inside >= 89  # P(fewer | 0.95) = 0.004


def test_calibration_error_of_true_probabilities_may_be_zero_and_of_wrong_ones_not() -> None:
    honest = draw(5000, 3)
    found = measure("calibration_error", honest)
    assert found.low is not None
    assert found.low < 0.005
    wrong = BinaryAnswers(labels=honest.labels, scores=honest.scores**2, threshold=0.3, cost=COST)
    bad = measure("calibration_error", wrong)
    assert bad.low is not None
    assert found.high is not None
    assert bad.low > 2 * found.high


def test_calibration_curve_counts_every_row_once() -> None:
    rows = draw(5000, 4)
    curve = calibration_curve(count_cells(rows.labels, rows.scores, rows.threshold))
    assert sum(n for _, _, n in curve) == 5000
    assert [mean for mean, _, _ in curve] == sorted(mean for mean, _, _ in curve)
    assert sum(share * n for _, share, n in curve) == pytest.approx(rows.labels.sum())
    assert sum(mean * n for mean, _, n in curve) == pytest.approx(rows.scores.sum())


def test_paired_auc_difference_is_delong() -> None:
    """Against the variance of the pairwise kernel, computed the long way."""
    one = draw(800, 5)
    noise = np.random.default_rng(6).normal(0, 0.1, 800)
    two = BinaryAnswers(labels=one.labels, scores=np.clip(one.scores + noise, 0, 1), threshold=0.3, cost=COST)
    found = paired_difference("auc", two, one)

    def kernel(part: BinaryAnswers) -> np.ndarray:
        positive, negative = part.scores[part.labels == 1][:, None], part.scores[part.labels == 0][None, :]
        return (positive > negative) + 0.5 * (positive == negative)

    delta = kernel(two) - kernel(one)
    variance = delta.mean(1).var(ddof=1) / delta.shape[0] + delta.mean(0).var(ddof=1) / delta.shape[1]
    assert found.value == pytest.approx(delta.mean())
    assert found.high is not None
    assert found.value is not None
    assert found.high - found.value == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-6)


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier", "cost"])
def test_a_model_compared_with_itself_is_never_better(metric: str) -> None:
    rows = draw(500, 7)
    found = paired_difference(metric, rows, rows)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier", "cost"])
def test_swapping_the_models_turns_the_difference(metric: str) -> None:
    one, other = draw(500, 8), draw(500, 9)
    other = BinaryAnswers(labels=one.labels, scores=other.scores, threshold=0.3, cost=COST)
    there, back = paired_difference(metric, one, other), paired_difference(metric, other, one)
    assert there.value is not None
    assert there.low is not None
    assert there.high is not None
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


def test_rows_of_another_order_are_not_compared() -> None:
    one, other = draw(500, 8), draw(500, 9)
    with pytest.raises(InputError, match="same rows"):
        paired_difference("auc", one, other)


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1, math.inf])
def test_answers_that_are_no_probabilities_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="1 of 2 probabilities"):
        check_scores(np.array([0.5, bad]), "candidate")


def test_what_is_undefined_is_none() -> None:
    nothing = BinaryAnswers(labels=np.array([]), scores=np.array([]), threshold=0.5, cost=COST)
    one_class = BinaryAnswers(labels=np.zeros(50), scores=np.full(50, 0.2), threshold=0.5, cost=COST)
    for metric in OFFLINE_METRICS:
        assert measure(metric, nothing).value is None, metric
    found = measure_all(OFFLINE_METRICS, one_class)
    assert [m for m in OFFLINE_METRICS if found[m].value is not None] == ["log_loss", "brier", "cost"]


def test_a_perfect_order_of_few_rows_proves_little() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1], float)
    found = measure("auc", BinaryAnswers(labels=labels, scores=labels * 0.8 + 0.1, threshold=0.5, cost=COST))
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(0.025 ** (1 / 3))


def test_roc_points_are_rates_at_their_threshold() -> None:
    rows = draw(700, 10)
    for threshold, fpr, tpr in roc_points(rows)[::20]:
        acted = rows.scores >= threshold
        assert tpr == pytest.approx(acted[rows.labels == 1].mean())
        assert fpr == pytest.approx(acted[rows.labels == 0].mean())
