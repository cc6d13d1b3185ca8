"""scikit-learn pipeline to ONNX, behind a parity gate: a conversion is believed only when it is shown equal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from interlock.errors import GateFailed
from interlock.serving.rows import frame_of
from interlock.training.columns import Columns

PARITY_LIMIT = 1e-5
FIELD_ROWS = 200
# Fixed, so that a new skl2onnx does not change the bytes of an equal model.
OPSET = {"": 18, "ai.onnx.ml": 3}


def export_onnx(pipeline: Any, *, numbers: list[str], categories: list[str]) -> bytes:
    """Serialised ONNX model: one input (n, 1) per column, output ``probabilities`` (n, 2).

    :class:`GateFailed` for an estimator that cannot be converted.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    inputs = [(name, FloatTensorType([None, 1])) for name in numbers]
    inputs += [(name, StringTensorType([None, 1])) for name in categories]
    options = {id(pipeline.steps[-1][1]): {"zipmap": False}}
    try:
        model = to_onnx(pipeline, initial_types=inputs, options=options, target_opset=OPSET)
    except (RuntimeError, KeyError, TypeError) as error:
        kind = type(pipeline.steps[-1][1]).__name__
        reason = " ".join(str(error).split())[:200]
        raise GateFailed(f"export: {kind} cannot be converted to ONNX: {reason}; choose another estimator") from error
    model.graph.name = "interlock"
    # skl2onnx collects the opsets in a set: without an order of our own, equal models differ in bytes.
    opsets = sorted(model.opset_import, key=lambda opset: str(opset.domain))
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    return bytes(model.SerializeToString(deterministic=True))


def score_onnx(model: bytes, columns: Columns) -> NDArray[np.float32]:
    """Probability of class 1, shape (n,), by ONNX Runtime."""
    return _score(_open(model), columns)


def _open(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _score(session: Any, columns: Columns) -> NDArray[np.float32]:
    feeds = {name: values.reshape(-1, 1) for name, values in columns.items()}
    (probabilities,) = session.run(["probabilities"], feeds)
    result: NDArray[np.float32] = probabilities[:, 1]
    return result


def require_parity(pipeline: Any, model: bytes, columns: Columns, threshold: float) -> float:
    """Largest difference of probabilities between pipeline and ONNX, over real rows and damaged ones.

    :class:`GateFailed` when it exceeds 1e-5 or one label flips.
    """
    worst, flips, session = 0.0, 0, _open(model)
    for probe in (columns, *damaged(columns)):
        expected = pipeline.predict_proba(frame_of(probe))[:, 1]
        exported = _score(session, probe)
        worst = max(worst, float(np.max(np.abs(expected - exported), initial=0.0)))
        near = np.abs(expected - threshold) <= PARITY_LIMIT
        flips += int(np.sum(((expected >= threshold) != (exported >= threshold)) & ~near))
    if worst > PARITY_LIMIT or flips:
        raise GateFailed(
            f"parity: ONNX differs from scikit-learn by {worst:.2g} > {PARITY_LIMIT:g} or flips labels ({flips}): "
            "the model is not exported; choose another estimator or other parameters"
        )
    return worst


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
