"""Regression metrics against scikit-learn; intervals against resampling and by their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from interlock.config import metrics_of, paired_metrics
from interlock.errors import InputError
from interlock.evaluation.regression import ValueAnswers, check_scores, measure

METRICS = metrics_of("regression", [], ["quantile_loss:0.75"])
PAIRED = paired_metrics("regression", [])


def draw(rows: int, seed: int, noise: float = 1.0) -> ValueAnswers:
    """Answers with a slight bias; errors have heavy tails."""
    random = np.random.default_rng(seed)
    truth = 3 * random.normal(size=rows) + 10
    return ValueAnswers(labels=truth, scores=truth + 0.2 + noise * random.standard_t(6, rows))


def expected(metric: str, rows: ValueAnswers) -> float:
    """scikit-learn's value."""
    if metric == "bias":
        return float(np.mean(rows.scores - rows.labels))
    if metric.startswith("quantile_loss"):
        return float(reference.mean_pinball_loss(rows.labels, rows.scores, alpha=float(metric.partition(":")[2])))
    kinds = {
        "mae": reference.mean_absolute_error,
        "rmse": reference.root_mean_squared_error,
        "r2": reference.r2_score,
    }
    return float(kinds[metric](rows.labels, rows.scores))


def test_values_are_scikit_learns() -> None:
    rows = draw(2000, 1)
    assert "quantile_loss:0.75" in METRICS
    for metric, found in rows.measure(METRICS).items():
        assert found.value == pytest.approx(expected(metric, rows), abs=1e-12), metric


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_are_as_wide_as_resampling_rows_says(metric: str) -> None:
    rows = draw(1500, 2)
    random = np.random.default_rng(0)
    resampled = [expected(metric, rows.subset(random.integers(0, 1500, 1500))) for _ in range(300)]
    found = measure(metric, rows)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(resampled), rel=0.2)


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2", "quantile_loss:0.9"])
def test_intervals_cover_the_truth_95_times_in_100(metric: str) -> None:
    truth = expected(metric, draw(1_000_000, 99))
    inside = 0
    for seed in range(200):
        found = measure(metric, draw(500, seed))
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth <= found.high
    assert inside >= 181  # P(fewer | 0.95) = 0.003


@pytest.mark.parametrize("metric", PAIRED)
def test_a_model_against_itself_is_never_better_and_swapping_turns_the_sign(metric: str) -> None:
    one = draw(500, 3)
    same = one.difference(metric, one)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    other = ValueAnswers(labels=one.labels, scores=one.scores + np.random.default_rng(4).normal(size=500))
    there, back = one.difference(metric, other), other.difference(metric, one)
    assert there.value is not None
    assert there.low is not None
    assert there.high is not None
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))
    better = "low" if metric == "r2" else "high"  # the other has more noise
    assert (getattr(there, better) > 0) == (metric == "r2")


def test_calibration_means_answers_and_labels_per_tenth() -> None:
    rows = draw(1003, 5)
    curve = rows.calibration()
    assert sum(n for _, _, n in curve) == 1003
    assert [mean for mean, _, _ in curve] == sorted(mean for mean, _, _ in curve)
    assert sum(label * n for _, label, n in curve) == pytest.approx(rows.labels.sum())


def test_what_is_undefined_is_none() -> None:
    rows = draw(5, 6)
    for metric in METRICS:
        assert measure(metric, rows.subset(np.arange(5) < 1)).value is None
    flat = ValueAnswers(labels=np.ones(9), scores=np.arange(9.0))
    assert measure("r2", flat).value is None
    assert measure("mae", flat).value is not None


def test_an_exact_model_has_no_error() -> None:
    exact = ValueAnswers(labels=np.arange(9.0), scores=np.arange(9.0))
    found = measure("rmse", exact)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_answers_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="1 of 2 answers are not finite"):
        check_scores(np.array([0.5, bad]), "candidate")
