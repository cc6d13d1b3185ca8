"""What each task answers, as predictions and as tensors."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from interlock.contracts import InputField, Signature
from interlock.serving.answers import answers_of, labels_of, scores_of
from interlock.serving.inference import InferenceCodec

INPUTS = [InputField(name="x", kind="number")]
BINARY = Signature(task="binary", inputs=INPUTS, threshold=0.4)
CLASSES = Signature(task="multiclass", inputs=INPUTS, threshold=0.0, classes=["red", "green", "blue"])
VALUES = Signature(task="regression", inputs=INPUTS, threshold=0.0, probability_output="value")


def predictions(signature: Signature, scores: list[object]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = msgspec.to_builtins(answers_of(signature, "7").predictions(scores))
    return found


def test_predictions_name_what_was_decided() -> None:
    assert predictions(BINARY, [0.4, 0.39]) == [
        {"probability": 0.4, "label": 1, "model_version": "7"},
        {"probability": 0.39, "label": 0, "model_version": "7"},
    ]
    assert predictions(CLASSES, [[0.2, 0.5, 0.3]]) == [
        {
            "label": "green",
            "probability": 0.5,
            "probabilities": {"red": 0.2, "green": 0.5, "blue": 0.3},
            "model_version": "7",
        }
    ]
    assert predictions(VALUES, [-2.5]) == [{"value": -2.5, "model_version": "7"}]


@pytest.mark.parametrize(
    ("signature", "scores", "outputs"),
    [
        (BINARY, [0.4, 0.1], {"probability": ([2], [0.4, 0.1]), "label": ([2], [1, 0])}),
        (
            CLASSES,
            [[0.2, 0.5, 0.3], [0.6, 0.4, 0.0]],
            {
                "label": ([2], ["green", "red"]),
                "probability": ([2], [0.5, 0.6]),
                "probabilities": ([2, 3], [0.2, 0.5, 0.3, 0.6, 0.4, 0.0]),
            },
        ),
        (VALUES, [1.5, 2.5], {"value": ([2], [1.5, 2.5])}),
    ],
)
def test_tensors_and_their_description_agree(
    signature: Signature, scores: list[object], outputs: dict[str, tuple[list[int], list[object]]]
) -> None:
    answers = answers_of(signature, "7")
    codec = InferenceCodec(signature, name="m", version="7", outputs=answers.tensors([]))
    answer = msgspec.json.decode(codec.answer(answers.tensors(scores), "id-1"))
    assert {o["name"]: (o["shape"], o["data"]) for o in answer["outputs"]} == outputs
    described = {o["name"]: o for o in msgspec.json.decode(codec.metadata())["outputs"]}
    assert list(described) == list(outputs)
    for output in answer["outputs"]:
        assert described[output["name"]]["datatype"] == output["datatype"]
        assert described[output["name"]]["shape"] == [-1, *output["shape"][1:]]


def test_scores_are_what_the_task_reads() -> None:
    two, three = np.array([[0.3, 0.7]]), np.array([[0.2, 0.5, 0.3]])
    assert scores_of("binary", two).tolist() == [0.7]
    assert scores_of("multiclass", three).tolist() == [[0.2, 0.5, 0.3]]
    assert scores_of("regression", np.array([[4.0], [5.0]])).tolist() == [4.0, 5.0]
    assert labels_of(BINARY, np.array([0.4, 0.3])).tolist() == [1, 0]
    assert labels_of(CLASSES, three).tolist() == [1]


def test_one_number_a_row_is_counted() -> None:
    assert answers_of(CLASSES, "7").counted([[0.2, 0.5, 0.3]]) == [0.5]
    assert answers_of(BINARY, "7").counted([0.25]) == [0.25]
    assert answers_of(VALUES, "7").counted([9.0]) == [9.0]
