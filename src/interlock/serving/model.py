"""A model folder, checked and loaded: ``model.onnx`` (or ``model.joblib``), ``signature.json``, ``manifest.json``.

The same class scores in the server and offline, so both give the same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from interlock.contracts import InputField, Manifest, Signature, read_contract
from interlock.errors import ContractError, InputError
from interlock.serving.answers import labels_of, scores_of
from interlock.serving.engines import MODEL_FILES, ONNX_TYPES, Engine, OnnxGraph, PickledPipeline, open_session
from interlock.serving.rows import Columns, Row, columns_of
from interlock.serving.trees import TreesOnly, trees_only

SIGNATURE_FILE: Final = "signature.json"
MANIFEST_FILE: Final = "manifest.json"
PROBE_FILE: Final = "probe.json"


class Model:
    """A fitted pipeline with its signature. Made by :func:`load_model`; safe to share between threads."""

    def __init__(
        self, *, engine: Engine, signature: Signature, manifest: Manifest, trees: TreesOnly | None = None
    ) -> None:
        self.signature = signature
        self.manifest = manifest
        self.engine = engine.name if trees is None else "trees"
        self._run = engine.run
        self._trees = trees
        self._task = signature.task

    def predict(self, columns: Columns) -> npt.NDArray[np.float32]:
        """Probability of class 1, shape (n,), float32; of every class (n, classes), or the value (n,), by the task.

        ``columns`` holds one array of shape (n,) per input: numbers with missing = NaN, categories as ``str``
        with missing = ''. :class:`InputError` if a column is missing or shorter, or a category is not text:
        ONNX Runtime would read None as the unknown category 'None' without a word.
        """
        feeds: Columns = {}
        for field in self.signature.inputs:
            if field.name not in columns:
                raise InputError(f"column {field.name!r} is missing: {self.manifest.name} needs it as {field.kind}")
            feeds[field.name] = _as_input(field, columns[field.name])
        shapes = {name: column.shape for name, column in feeds.items()}
        if len(set(shapes.values())) != 1:
            raise InputError(f"columns differ in shape: {shapes}; all must be (n,)")
        return self.score(feeds)

    def score(self, columns: Columns) -> npt.NDArray[np.float32]:
        """:meth:`predict` without its checks, for columns from :class:`interlock.serving.decode.Decoder`."""
        return scores_of(self._task, self._run(columns))

    def score_rows(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """:meth:`score` for rows from the decoder, by the trees alone where they are proved equal."""
        if self._trees is not None:
            return scores_of(self._task, self._trees.score(rows))
        return self.score(columns_of(self.signature.inputs, rows))

    def labels(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """What is decided on scores of :meth:`score`, see :func:`interlock.serving.answers.labels_of`."""
        return labels_of(self.signature, scores)


def load_model(folder: Path, *, fast: bool = False, allow_pickle: bool = False) -> Model:
    """Load the model in ``folder`` once its digests agree with the manifest, and predict once to warm it.

    ``fast``: look for the trees-only path, for :meth:`Model.score_rows`; the whole graph serves without it.
    ``allow_pickle``: a folder whose manifest says ``joblib`` may be loaded, which can run anything.

    :class:`InputError` if there is no model file, or a pickle that is not allowed; :class:`ContractError` if a
    digest, the signature or the graph is not what the other files say.
    """
    manifest = _read_manifest(folder)
    if manifest.format == "joblib" and not allow_pickle:
        raise InputError(
            f"{MODEL_FILES['joblib']} in {folder} is a pickle, which can run anything while it is loaded: "
            "allow it with INTERLOCK_ALLOW_PICKLE=1 (in a pipeline: training.allow_pickle) if you trust whoever "
            "trained it, or train an estimator that can be exported to ONNX"
        )
    content = _read_model(folder / MODEL_FILES[manifest.format])
    signature = read_contract(folder / SIGNATURE_FILE, Signature)
    _check_digest(MODEL_FILES[manifest.format], content, manifest.model_sha256)
    _check_digest(SIGNATURE_FILE, (folder / SIGNATURE_FILE).read_bytes(), manifest.signature_sha256)
    _check_signature(signature)
    if manifest.format == "joblib":
        pickled = PickledPipeline(content, manifest.libraries, signature.task)
        model = Model(engine=pickled, signature=signature, manifest=manifest)
    else:
        graph = OnnxGraph(content, signature)
        trees = _trees(content, graph.session, signature, folder) if fast else None
        model = Model(engine=graph, signature=signature, manifest=manifest, trees=trees)
    _warm_up(model)
    return model


class _Probe(msgspec.Struct):
    instances: list[dict[str, float | str | None]]


def _trees(model_bytes: bytes, session: Any, signature: Signature, folder: Path) -> TreesOnly | None:
    probe = folder / PROBE_FILE
    rows: list[Row] = []
    if probe.is_file():
        try:
            instances = msgspec.json.decode(probe.read_bytes(), type=_Probe).instances
        except msgspec.MsgspecError as error:
            raise ContractError(f"{PROBE_FILE} cannot be read: {error}; re-run train_model") from error
        rows = [tuple(instance.get(field.name) for field in signature.inputs) for instance in instances]
    return trees_only(
        model_bytes,
        inputs=signature.inputs,
        output=signature.probability_output,
        session=session,
        open_session=open_session,
        rows=rows,
    )


def _read_manifest(folder: Path) -> Manifest:
    if not any((folder / name).is_file() for name in MODEL_FILES.values()):
        raise InputError(
            f"no {' or '.join(MODEL_FILES.values())} in {folder}: point AIP_STORAGE_URI at the folder that "
            "train_model wrote"
        )
    return read_contract(folder / MANIFEST_FILE, Manifest)


def _read_model(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ContractError(
            f"{path.name} is missing in {path.parent}, but {MANIFEST_FILE} says it is the model: re-run train_model"
        ) from error


def _check_digest(name: str, content: bytes, expected: str) -> None:
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise ContractError(
            f"{name} has sha256 {actual}, but {MANIFEST_FILE} says {expected}: not served; "
            "the file was changed after training, re-run train_model"
        )


def _check_signature(signature: Signature) -> None:
    names = [field.name for field in signature.inputs]
    if not names or len(set(names)) != len(names):
        raise ContractError(f"{SIGNATURE_FILE} needs one or more inputs with different names, has {names}")
    for field in signature.inputs:
        if field.kind not in ONNX_TYPES:
            raise ContractError(
                f"{SIGNATURE_FILE}: input {field.name!r} is of kind {field.kind!r}, allowed are {sorted(ONNX_TYPES)}"
            )
    if (signature.task == "multiclass") != bool(signature.classes):
        raise ContractError(f"{SIGNATURE_FILE}: a {signature.task} task with classes {signature.classes}")


def _warm_up(model: Model) -> None:
    """Predict one row and a batch of rows with every feature missing; probabilities, or finite values, must come."""
    task, classes = model.signature.task, len(model.signature.classes)
    for rows in (1, 64):
        columns = {field.name: _missing(field, rows) for field in model.signature.inputs}
        scores = model.score(columns)
        model.score_rows([(None,) * len(columns)] * rows)
        wanted = (rows, classes) if task == "multiclass" else (rows,)
        good = np.isfinite(scores) if task == "regression" else (scores >= 0) & (scores <= 1)
        if scores.shape != wanted:
            raise ContractError(f"the model gives answers of shape {scores.shape} for {rows} rows, not {wanted}")
        if not good.all():
            kind = "a finite value" if task == "regression" else "in [0, 1]"
            raise ContractError(f"the model gives {scores[:1]} for a row of missing values: not {kind}")


def _missing(field: InputField, rows: int) -> npt.NDArray[Any]:
    if field.kind == "number":
        return np.full(rows, np.nan, dtype=np.float32)
    return np.full(rows, "", dtype=object)


def _as_input(field: InputField, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if field.kind == "number":
        return np.asarray(column, dtype=np.float32)
    texts = np.asarray(column, dtype=object)
    for value in texts.flat:
        if not isinstance(value, str):
            raise InputError(f"column {field.name!r} holds {value!r}: a category is text, missing is ''")
    return texts
