"""scikit-learn pipeline to ONNX, behind a parity gate: a conversion is believed only when it is shown equal.

=============  ===================  ===============================================================
task           output               equal means, on every row
=============  ===================  ===============================================================
binary         probabilities (n,2)  1e-5 on the probability, no label flips at the threshold
multiclass     probabilities (n,k)  1e-5 on each, the most probable class is the same
regression     value (n,1)          1e-5 of the value, or of the mean size of values where it is less
=============  ===================  ===============================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from interlock.contracts import Task
from interlock.errors import GateFailed
from interlock.serving.answers import scores_of
from interlock.serving.engines import open_session
from interlock.serving.rows import frame_of
from interlock.training.columns import Columns

PARITY_LIMIT = 1e-5
FIELD_ROWS = 200
# Fixed, so that a new skl2onnx does not change the bytes of an equal model.
OPSET = {"": 18, "ai.onnx.ml": 3}
OUTPUTS = {"binary": "probabilities", "multiclass": "probabilities", "regression": "value"}
Floats = NDArray[Any]


def export_onnx(pipeline: Any, *, numbers: list[str], categories: list[str], task: Task = "binary") -> bytes:
    """Serialised ONNX model: one input (n, 1) per column, and the task's output.

    :class:`GateFailed` for an estimator that cannot be converted.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    inputs = [(name, FloatTensorType([None, 1])) for name in numbers]
    inputs += [(name, StringTensorType([None, 1])) for name in categories]
    regression = task == "regression"
    options = None if regression else {id(pipeline.steps[-1][1]): {"zipmap": False}}
    final = [(OUTPUTS[task], FloatTensorType([None, 1]))] if regression else None
    try:
        model = to_onnx(pipeline, initial_types=inputs, options=options, target_opset=OPSET, final_types=final)
    except (RuntimeError, KeyError, TypeError, NotImplementedError) as error:
        kind = type(pipeline.steps[-1][1]).__name__
        reason = " ".join(str(error).split())[:200]
        raise GateFailed(f"export: {kind} cannot be converted to ONNX: {reason}; choose another estimator") from error
    model.graph.name = "interlock"
    # skl2onnx collects the opsets in a set: without an order of our own, equal models differ in bytes.
    opsets = sorted(model.opset_import, key=lambda opset: str(opset.domain))
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    return bytes(model.SerializeToString(deterministic=True))


def score_onnx(model: bytes, columns: Columns, task: Task = "binary") -> NDArray[np.float32]:
    """By ONNX Runtime: probability of class 1 (n,), of every class (n, k), or the value (n,)."""
    return scores_of(task, _run(open_session(model), columns, task))


def score_pipeline(pipeline: Any, columns: Columns, task: Task = "binary") -> Floats:
    """The same by scikit-learn, in its own precision."""
    frame = frame_of(columns)
    if task == "regression":
        return np.asarray(pipeline.predict(frame)).reshape(-1)
    return scores_of(task, np.asarray(pipeline.predict_proba(frame)))


def _run(session: Any, columns: Columns, task: Task) -> Floats:
    feeds = {name: values.reshape(-1, 1) for name, values in columns.items()}
    (found,) = session.run([OUTPUTS[task]], feeds)
    return np.asarray(found)


def require_parity(pipeline: Any, model: bytes, columns: Columns, threshold: float, task: Task = "binary") -> float:
    """Largest difference between pipeline and ONNX, over real rows and damaged ones: absolute, or relative for values.

    :class:`GateFailed` when it exceeds 1e-5 or one label flips.
    """
    worst, flips, session = 0.0, 0, open_session(model)
    for probe in (columns, *damaged(columns)):
        expected, exported = score_pipeline(pipeline, probe, task), scores_of(task, _run(session, probe, task))
        worst = max(worst, _largest_difference(task, expected, exported))
        flips += _flips(task, expected, exported, threshold)
    if not worst <= PARITY_LIMIT or flips:
        raise GateFailed(
            f"parity: ONNX differs from scikit-learn by {worst:.2g} > {PARITY_LIMIT:g} or flips labels ({flips}): "
            "the model is not exported; choose another estimator or other parameters"
        )
    return worst


def _largest_difference(task: Task, expected: Floats, exported: Floats) -> float:
    if expected.shape != exported.shape:
        return float("inf")
    size: Any = 1.0
    if task == "regression":
        size = np.maximum(np.abs(expected), np.mean(np.abs(expected)))
        size = np.where(size > 0, size, 1.0)
    largest = float(np.max(np.abs(expected - exported) / size, initial=0.0))
    return largest if largest >= 0 else float("inf")  # NaN is no agreement


def _flips(task: Task, expected: Floats, exported: Floats, threshold: float) -> int:
    """Rows that get another label. A row within the limit of the border has no label that could be meant."""
    if task == "regression" or expected.shape != exported.shape:
        return 0
    if task == "binary":
        near = np.abs(expected - threshold) <= PARITY_LIMIT
        return int(np.sum(((expected >= threshold) != (exported >= threshold)) & ~near))
    second, first = np.sort(expected, axis=1)[:, -2:].T
    return int(np.sum((expected.argmax(1) != exported.argmax(1)) & (first - second > 2 * PARITY_LIMIT)))


def damaged(columns: Columns) -> list[Columns]:
    """The rows with every number missing, every category missing, every category unknown; and each field alone
    missing on the first rows, as when a caller leaves it out.
    """
    rows = len(next(iter(columns.values())))
    numbers = {name: np.full(rows, np.nan, np.float32) for name, v in columns.items() if v.dtype != object}
    texts = [name for name, v in columns.items() if v.dtype == object]
    empty = {name: np.full(rows, "", dtype=object) for name in texts}
    unknown = {name: np.full(rows, "\u2205 never seen", dtype=object) for name in texts}
    first = {name: values[:FIELD_ROWS] for name, values in columns.items()}
    left_out = {name: values[:FIELD_ROWS] for name, values in {**numbers, **empty}.items()}
    alone = [{**first, name: values} for name, values in left_out.items()]
    return [{**columns, **numbers}, {**columns, **empty}, {**columns, **unknown}, *alone]
