"""Multiclass metrics against scikit-learn; intervals against resampling and by their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from interlock.config import metrics_of, paired_metrics
from interlock.errors import InputError
from interlock.evaluation.multiclass import ClassAnswers, check_scores, measure

CLASSES = ["low", "middle", "high"]
METRICS = metrics_of("multiclass", CLASSES)
PAIRED = paired_metrics("multiclass", CLASSES)


def draw(rows: int, seed: int, signal: float = 1.2) -> ClassAnswers:
    """Scores that are true probabilities; ``high`` is rare."""
    random = np.random.default_rng(seed)
    logits = signal * random.normal(size=(rows, 3)) + [0.5, 0.3, -0.8]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (scores.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1)
    return ClassAnswers(labels=labels, scores=scores, classes=CLASSES)


def expected(metric: str, rows: ClassAnswers) -> float:
    """scikit-learn's value."""
    name, _, class_name = metric.partition(":")
    labels, predicted = rows.labels, rows.predicted()
    place = CLASSES.index(class_name) if class_name else 0
    whole = {
        "accuracy": lambda: reference.accuracy_score(labels, predicted),
        "log_loss": lambda: reference.log_loss(labels, rows.scores),
        "brier": lambda: np.mean(((rows.scores - np.eye(3)[labels]) ** 2).sum(axis=1)) / 2,
        "auc_macro": lambda: reference.roc_auc_score(labels, rows.scores, multi_class="ovr", average="macro"),
        "auc": lambda: reference.roc_auc_score(labels == place, rows.scores[:, place]),
    }
    if name in whole:
        return float(whole[name]())
    score = {"precision": reference.precision_score, "recall": reference.recall_score, "f1": reference.f1_score}
    average = None if class_name else "macro"
    found = score[name.removesuffix("_macro")](labels, predicted, average=average, zero_division=0)
    return float(found[place] if class_name else found)


def test_values_are_scikit_learns() -> None:
    rows = draw(2000, 1)
    found = rows.measure(METRICS)
    assert len(METRICS) == 8 + 4 * 3
    for metric in METRICS:
        if metric != "calibration_error":
            assert found[metric].value == pytest.approx(expected(metric, rows), abs=1e-12), metric
    assert rows.confusion() == reference.confusion_matrix(rows.labels, rows.predicted()).tolist()


@pytest.mark.parametrize(
    "metric", ["accuracy", "log_loss", "brier", "auc_macro", "precision_macro", "f1_macro", "auc:high", "f1:low"]
)
def test_intervals_are_as_wide_as_resampling_rows_says(metric: str) -> None:
    rows = draw(1500, 2)
    random = np.random.default_rng(0)
    resampled = [expected(metric, rows.subset(random.integers(0, 1500, 1500))) for _ in range(150)]
    found = measure(metric, rows)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(resampled), rel=0.25)


@pytest.mark.parametrize("metric", ["auc_macro", "f1_macro", "precision_macro", "recall_macro", "f1:high"])
def test_intervals_cover_the_truth_95_times_in_100(metric: str) -> None:
    truth = measure(metric, draw(300_000, 99)).value
    assert truth is not None
    inside = 0
    for seed in range(200):
        found = measure(metric, draw(400, seed))
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth <= found.high
    assert inside >= 181  # P(fewer | 0.95) = 0.003


def test_calibration_error_is_about_the_likeliest_class() -> None:
    honest = draw(5000, 3)
    sure = honest.scores**3
    boasting = ClassAnswers(labels=honest.labels, scores=sure / sure.sum(axis=1, keepdims=True), classes=CLASSES)
    fine, bad = measure("calibration_error", honest), measure("calibration_error", boasting)
    assert fine.low is not None
    assert fine.high is not None
    assert bad.low is not None
    assert fine.low < 0.01
    assert bad.low > 2 * fine.high
    assert sum(n for _, _, n in boasting.calibration()) == 5000
    assert all(mean > share for mean, share, _ in boasting.calibration()[3:])


@pytest.mark.parametrize("metric", PAIRED)
def test_a_model_against_itself_is_never_better_and_swapping_turns_the_sign(metric: str) -> None:
    one = draw(500, 7)
    same = one.difference(metric, one)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    other = ClassAnswers(labels=one.labels, scores=draw(500, 8).scores, classes=CLASSES)
    there, back = one.difference(metric, other), other.difference(metric, one)
    assert there.value is not None
    assert there.low is not None
    assert there.high is not None
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))
    assert there.value == pytest.approx(expected(metric, one) - expected(metric, other))


@pytest.mark.parametrize("metric", ["auc_macro", "f1_macro"])
def test_paired_intervals_are_as_wide_as_resampling_pairs_says(metric: str) -> None:
    one = draw(1200, 9)
    noise = np.random.default_rng(1).normal(0, 0.5, one.scores.shape)
    moved = one.scores * np.exp(noise)
    other = ClassAnswers(labels=one.labels, scores=moved / moved.sum(axis=1, keepdims=True), classes=CLASSES)
    found = one.difference(metric, other)
    random = np.random.default_rng(2)
    drawn = []
    for _ in range(150):
        chosen = random.integers(0, 1200, 1200)
        drawn.append(expected(metric, one.subset(chosen)) - expected(metric, other.subset(chosen)))
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(drawn), rel=0.25)


def test_what_is_undefined_is_none_and_a_class_without_rows_is_in_no_average() -> None:
    rows = draw(300, 10)
    nothing, without = rows.subset(rows.labels < 0), rows.subset(rows.labels != 2)
    assert [m for m in METRICS if measure(m, nothing).value is not None] == []
    assert measure("recall:high", without).value is None
    assert measure("f1:high", without).value is None
    assert measure("recall_macro", without).value == pytest.approx(
        (expected("recall:low", without) + expected("recall:middle", without)) / 2
    )


def test_a_perfect_model_on_few_rows_proves_little() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    rows = ClassAnswers(labels=labels, scores=np.eye(3)[labels], classes=CLASSES)
    for metric in ("auc_macro", "f1_macro", "recall_macro"):
        found = measure(metric, rows)
        assert found.value == found.high == 1.0
        assert found.low == pytest.approx(0.025 ** (1 / 2))


@pytest.mark.parametrize("bad", [[math.nan, 0.5, 0.5], [1.2, -0.1, -0.1], [0.5, 0.5, 0.5]])
def test_answers_that_are_no_probabilities_are_refused(bad: list[float]) -> None:
    with pytest.raises(InputError, match="1 of 2 rows are no probabilities"):
        check_scores(np.array([[0.2, 0.3, 0.5], bad]), "candidate")


def test_other_rows_are_not_compared() -> None:
    with pytest.raises(InputError, match="same rows"):
        draw(100, 1).difference("accuracy", draw(100, 2))
