"""What a row is answered by, from what the model gives for it.

===========  ==================  ======================================================  ===============================
task         the model gives     answer                                                  tensors (protocol v2)
===========  ==================  ======================================================  ===============================
binary       (n, 2)              ``{"probability", "label"}``, of class 1                probability, label
multiclass   (n, classes)        ``{"label", "probability", "probabilities"}``: the      label, probability,
                                 likeliest class, its probability, and each by name      probabilities (n, classes)
regression   (n, 1)              ``{"value"}``                                           value
===========  ==================  ======================================================  ===============================

Every answer also has ``model_version``. ``scores`` are what one request is answered by, as Python numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from interlock.contracts import Signature, Task

Floats = npt.NDArray[Any]


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """One answer: probability of class 1, label at the model's threshold, and the version that gave it."""

    probability: float
    label: int
    model_version: str


class ClassPrediction(msgspec.Struct, frozen=True):
    """One answer: the likeliest class, its probability, and the probability of each."""

    label: str
    probability: float
    probabilities: dict[str, float]
    model_version: str


class ValuePrediction(msgspec.Struct, frozen=True, gc=False):
    """One answer: the value."""

    value: float
    model_version: str


class Tensor(msgspec.Struct, frozen=True):
    """One output of the Open Inference Protocol. Of a description, ``shape`` begins with -1 and ``data`` is empty."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class Answers(Protocol):
    """From scores to what is sent and counted."""

    def predictions(self, scores: Sequence[Any]) -> Sequence[msgspec.Struct]:
        """One per row."""

    def tensors(self, scores: Sequence[Any]) -> list[Tensor]:
        """One per output; without rows they describe themselves."""

    def counted(self, scores: Sequence[Any]) -> list[float]:
        """One number per row, for the histogram of scores: the probability of the label that is told, or the value."""


def scores_of(task: Task, output: Floats) -> Floats:
    """Probability of class 1 (n,), of every class (n, classes), or the value (n,)."""
    if task == "multiclass":
        return output
    return output[:, 1] if task == "binary" else output.reshape(-1)


def labels_of(signature: Signature, scores: Floats) -> npt.NDArray[np.int8]:
    """Binary: 1 where the probability, read as a double, reaches the threshold. Multiclass: place in ``classes``."""
    if signature.task == "multiclass":
        return np.asarray(scores.argmax(axis=1), np.int8)
    return np.asarray(scores.astype(np.float64) >= signature.threshold, np.int8)


def answers_of(signature: Signature, version: str) -> Answers:
    """What answers for this model."""
    if signature.task == "multiclass":
        return _Classes(signature.classes, version)
    return _Values(version) if signature.task == "regression" else _Binary(signature.threshold, version)


class _Binary:
    def __init__(self, threshold: float, version: str) -> None:
        self._threshold = threshold
        self._version = version

    def predictions(self, scores: Sequence[float]) -> list[Prediction]:
        threshold, version = self._threshold, self._version
        return [Prediction(p, 1 if p >= threshold else 0, version) for p in scores]

    def tensors(self, scores: Sequence[float]) -> list[Tensor]:
        shape = [len(scores) or -1]
        labels = [1 if p >= self._threshold else 0 for p in scores]
        return [Tensor("probability", "FP32", shape, list(scores)), Tensor("label", "INT64", shape, labels)]

    def counted(self, scores: Sequence[float]) -> list[float]:
        return list(scores)


class _Classes:
    def __init__(self, classes: list[str], version: str) -> None:
        self._classes = classes
        self._version = version

    def predictions(self, scores: Sequence[list[float]]) -> list[ClassPrediction]:
        classes, version = self._classes, self._version
        found = []
        for row in scores:
            most = max(row)
            found.append(ClassPrediction(classes[row.index(most)], most, dict(zip(classes, row, strict=True)), version))
        return found

    def tensors(self, scores: Sequence[list[float]]) -> list[Tensor]:
        shape = [len(scores) or -1]
        most = [max(row) for row in scores]
        labels = [self._classes[row.index(p)] for row, p in zip(scores, most, strict=True)]
        flat = [p for row in scores for p in row]
        return [
            Tensor("label", "BYTES", shape, labels),
            Tensor("probability", "FP32", shape, most),
            Tensor("probabilities", "FP32", [*shape, len(self._classes)], flat),
        ]

    def counted(self, scores: Sequence[list[float]]) -> list[float]:
        return [max(row) for row in scores]


class _Values:
    def __init__(self, version: str) -> None:
        self._version = version

    def predictions(self, scores: Sequence[float]) -> list[ValuePrediction]:
        return [ValuePrediction(value, self._version) for value in scores]

    def tensors(self, scores: Sequence[float]) -> list[Tensor]:
        return [Tensor("value", "FP32", [len(scores) or -1], list(scores))]

    def counted(self, scores: Sequence[float]) -> list[float]:
        return list(scores)
