"""ROC and confusion of a ClassificationMetrics artifact, whoever wrote it."""

import re
import xml.etree.ElementTree as ET

import pytest

from interlock.console.classification import classification

CURVE = [
    {"falsePositiveRate": 1.0, "recall": 1.0, "confidenceThreshold": 0.1},
    {"falsePositiveRate": 0.25, "recall": 0.75, "confidenceThreshold": 0.5},
]
MATRIX = {
    "annotationSpecs": [{"displayName": "on time"}, {"displayName": "<b>late</b>"}],
    "rows": [{"row": [27367, 4785]}, {"row": [1539, 9853]}],
}


def test_the_curve_goes_from_nothing_to_everything_through_its_points():
    root = ET.fromstring(classification({"confidenceMetrics": CURVE})["confidenceMetrics"])
    line = next(path.get("d") for path in root.iter("path") if path.get("class") == "line candidate")
    points = [tuple(map(float, pair.split())) for pair in re.split("[ML]", line)[1:]]
    (left, bottom), (right, top) = points[0], points[-1]
    assert points[1] == pytest.approx((left + 0.25 * (right - left), bottom + 0.75 * (top - bottom)))
    assert "2 thresholds" in root.get("aria-label")


def test_the_matrix_says_what_was_and_what_was_said():
    said = classification({"confusionMatrix": MATRIX})["confusionMatrix"]
    assert [words in said for words in ("actually on time", "predicted on time", "27,367", "9,853")] == [True] * 4
    assert "<b>" not in said


@pytest.mark.parametrize(
    "metadata",
    [{}, {"confidenceMetrics": "high"}, {"confusionMatrix": MATRIX | {"rows": []}}, {"confusionMatrix": {"rows": 1}}],
)
def test_another_shape_is_left_to_be_shown_as_it_is(metadata):
    assert classification(metadata) == {}
