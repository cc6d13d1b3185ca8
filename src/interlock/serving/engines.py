"""What computes the answer: ONNX Runtime on the exported graph, or scikit-learn on the pickled pipeline.

::

    model.onnx ───> OnnxGraph         always
    model.joblib ─> PickledPipeline   only with allow_pickle: a pickle can run anything while it is loaded

The pickled pipeline is for estimators that cannot be exported. A call costs it some ten milliseconds whatever the
batch, so it lives on the batches of :mod:`interlock.serving.direct`; it needs the environment it was trained in.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from interlock.contracts import Signature, Task
from interlock.errors import ContractError, EnvironmentProblem
from interlock.serving.rows import Columns, frame_of

MODEL_FILES: Final = {"onnx": "model.onnx", "joblib": "model.joblib"}
ONNX_TYPES: Final = {"number": "tensor(float)", "category": "tensor(string)"}
# Minor versions of these may change what a pickle means. https://scikit-learn.org/stable/model_persistence.html
_PICKLED_WITH: Final = ("scikit-learn", "numpy")

Floats = npt.NDArray[np.float32]


class Engine(Protocol):
    """Something that scores rows. ``name`` is told in the ready line and in the metrics."""

    name: str

    def run(self, columns: Columns) -> Floats:
        """What the model gives for the columns of :func:`interlock.serving.rows.columns_of`: (n, classes) or (n, 1)."""


class OnnxGraph:
    """The whole exported pipeline. ``session`` is ONNX Runtime's."""

    name = "graph"

    def __init__(self, content: bytes, signature: Signature) -> None:
        self.session = open_session(content)
        _check_graph(self.session, signature)
        self._outputs = [signature.probability_output]

    def run(self, columns: Columns) -> Floats:
        """One call of ONNX Runtime."""
        feeds = {name: column.reshape(-1, 1) for name, column in columns.items()}
        found: Floats = self.session.run(self._outputs, feeds)[0]
        return found


class PickledPipeline:
    """A fitted scikit-learn pipeline. Its digest must have been checked before."""

    name = "sklearn"

    def __init__(self, content: bytes, libraries: Mapping[str, str], task: Task = "binary") -> None:
        _check_libraries(libraries)
        import joblib

        self._pipeline = joblib.load(io.BytesIO(content))
        method = "predict" if task == "regression" else "predict_proba"
        if not hasattr(self._pipeline, method):
            raise ContractError(
                f"{MODEL_FILES['joblib']} holds a {type(self._pipeline).__name__} without {method}: "
                f"train an estimator for task {task}"
            )
        self._call = getattr(self._pipeline, method)

    def run(self, columns: Columns) -> Floats:
        """One call of predict_proba, or of predict."""
        found: Floats = self._call(frame_of(columns)).astype(np.float32)
        return found if found.ndim == 2 else found.reshape(-1, 1)


def open_session(content: bytes) -> Any:
    """ONNX Runtime on one thread; :class:`ContractError` for bytes it cannot load."""
    # Its releases since 1.29 report to their maker, and keep an identifier of the machine in the user's cache, unless
    # this is set before it is imported. https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    options = onnxruntime.SessionOptions()
    # A request is far too small to share out: more threads only add wake-ups.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (
        failures.Fail,
        failures.InvalidArgument,
        failures.InvalidGraph,
        failures.InvalidProtobuf,
        failures.NotImplemented,
        failures.RuntimeException,
    ) as error:
        raise ContractError(f"{MODEL_FILES['onnx']} cannot be loaded: {error}; export the model again") from error


def _check_graph(session: Any, signature: Signature) -> None:
    wanted = {field.name: ONNX_TYPES[field.kind] for field in signature.inputs}
    found = {graph_input.name: graph_input.type for graph_input in session.get_inputs()}
    if found != wanted:
        raise ContractError(f"model.onnx takes {found}, but signature.json says {wanted}: re-run train_model")
    outputs = [output.name for output in session.get_outputs()]
    if signature.probability_output not in outputs:
        raise ContractError(
            f"model.onnx gives {outputs}, but signature.json names {signature.probability_output!r}: "
            "export it with zipmap off"
        )


def _check_libraries(libraries: Mapping[str, str]) -> None:
    """A pickle is only safe to read with what wrote it, to the minor version."""
    for name in _PICKLED_WITH:
        try:
            here = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise EnvironmentProblem(
                f"model.joblib needs {name}, which is not installed: serve it from the image it was trained in"
            ) from None
        there = libraries.get(name, "")
        if here.split(".")[:2] != there.split(".")[:2]:
            raise ContractError(
                f"model.joblib was written with {name} {there or 'of unknown version'}, here is {here}: "
                "serve it from the image it was trained in"
            )
