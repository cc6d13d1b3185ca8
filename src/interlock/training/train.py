"""Stage 4, training: features become a candidate, a folder the model server can serve.

::

    model.onnx        the whole pipeline, preprocessing included; model.joblib where it cannot be exported and the
                      config allows a pickle
    signature.json    what it takes and gives
    manifest.json     where it comes from
    probe.json        a few test rows with the answers they must get
    monitoring_reference.json   the rows it was trained on, as counts for its monitoring
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import joblib
import msgspec
import numpy as np
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from interlock.config import Config, config_sha256
from interlock.contracts import Features, InputField, Manifest, Signature, Task, write_contract
from interlock.errors import GateFailed
from interlock.features.query import KEY
from interlock.serving.engines import MODEL_FILES
from interlock.serving.rows import frame_of
from interlock.training.columns import Columns, columns_of, read_columns
from interlock.training.estimators import build_estimator
from interlock.training.export import OUTPUTS, Floats, export_onnx, require_parity, score_onnx, score_pipeline
from interlock.training.fit import calibrate, fit_pipeline, search_parameters
from interlock.training.labels import Labels, read_labels
from interlock.training.reference import FILE as REFERENCE_FILE
from interlock.training.reference import write_reference
from interlock.training.threshold import cheapest_threshold

PROBE_ROWS = 32
PARITY_ROWS = 5000
LIBRARIES = ("scikit-learn", "skl2onnx", "onnx", "numpy", "pyarrow")
NO_THRESHOLD = 0.0
T = TypeVar("T")


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller knows about this run and the core cannot see."""

    config: str
    window: list[str]
    git_revision: str = ""
    image: str = ""
    lock_sha256: str = ""


class Shipped(msgspec.Struct, frozen=True, kw_only=True):
    """A model as bytes. ``refused``: why it is not ONNX, '' if it is."""

    content: bytes
    threshold: float
    parity_max_difference: float = 0.0
    refused: str = ""

    @property
    def format(self) -> Literal["onnx", "joblib"]:
        """As the manifest calls it."""
        return "joblib" if self.refused else "onnx"


def train_model(config: Config, *, features: Features, source: Path, folder: Path, provenance: Provenance) -> Manifest:
    """Fit, choose the threshold, export, prove parity, and write the candidate's folder.

    Equal features, config and libraries give equal bytes.
    """
    numbers, categories = config.features.numbers, config.features.categories
    # Early, to refuse wrong parameters, and to load the libraries that threads are limited in: the limit does not
    # reach what is loaded later.
    build_estimator(config, config.training.parameters)
    inputs, labels = _read_split(source / "train.parquet", config, frame_of)
    columns, held_out = _read_split(source / "validation.parquet", config, dict)
    with threadpool_limits(config.training.threads):
        parameters = search_parameters(config, inputs, labels)
        pipeline = fit_pipeline(config, inputs, labels, parameters)
        if config.training.calibration == "sigmoid":
            pipeline = calibrate(pipeline, frame_of(columns), held_out)

        model = ship(config, pipeline, columns, held_out)

    signature = Signature(
        task=config.task,
        inputs=[InputField(name=name, kind="number") for name in numbers]
        + [InputField(name=name, kind="category") for name in categories],
        threshold=model.threshold,
        probability_output=OUTPUTS[config.task],
        ignored=[name for name in (KEY, config.strategy.user_key, config.strategy.stratify_by) if name],
        classes=config.label.classes,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILES[model.format]).write_bytes(model.content)
    write_contract(signature, folder / "signature.json")
    _write_probe(source / "test.parquet", pipeline, model, signature, folder / "probe.json")
    write_reference(config, source, folder / REFERENCE_FILE, lambda rows: _scores(pipeline, model, rows, config.task))
    manifest = Manifest(
        name=config.name,
        format=model.format,
        export_refused=model.refused,
        model_sha256=hashlib.sha256(model.content).hexdigest(),
        signature_sha256=hashlib.sha256((folder / "signature.json").read_bytes()).hexdigest(),
        features_sha256=features.sha256,
        table_sha256=features.table_sha256,
        config_sha256=config_sha256(provenance.config),
        config=provenance.config,
        seed=config.seed,
        window=provenance.window,
        rows=features.rows,
        git_revision=provenance.git_revision,
        image=provenance.image,
        lock_sha256=provenance.lock_sha256,
        libraries=library_versions(),
        parameters=parameters,
        parity_max_difference=model.parity_max_difference,
    )
    write_contract(manifest, folder / "manifest.json")
    return manifest


def _read_split(path: Path, config: Config, form: Callable[[Columns], T]) -> tuple[T, Labels]:
    """Inputs, in ``form``, and labels. No other column is read, and the table is gone when this returns."""
    numbers, categories = config.features.numbers, config.features.categories
    rows = pq.read_table(path, columns=[*numbers, *categories, config.label.name])
    return form(columns_of(rows, numbers=numbers, categories=categories)), read_labels(rows, config)


def ship(config: Config, pipeline: Any, columns: Columns, labels: Labels) -> Shipped:
    """The fitted pipeline as ONNX, shown equal on these rows; as a pickle where that fails and the config allows it."""
    try:
        content = export_onnx(
            pipeline, numbers=config.features.numbers, categories=config.features.categories, task=config.task
        )
        threshold = _threshold(config, labels, score_onnx(content, columns, config.task))
        difference = require_parity(pipeline, content, _first(columns, PARITY_ROWS), threshold, config.task)
    except GateFailed as refusal:
        if not config.training.allow_pickle:
            raise GateFailed(f"{refusal}, or set training.allow_pickle if whoever serves it trusts you") from refusal
        buffer = io.BytesIO()
        joblib.dump(pipeline, buffer)
        threshold = _threshold(config, labels, score_pipeline(pipeline, columns, config.task))
        return Shipped(content=buffer.getvalue(), threshold=threshold, refused=str(refusal))
    return Shipped(content=content, threshold=threshold, parity_max_difference=difference)


def _threshold(config: Config, labels: Labels, scores: Floats) -> float:
    if config.task != "binary":
        return NO_THRESHOLD
    # As the server answers: in single precision.
    return cheapest_threshold(labels, scores.astype(np.float32), config.cost)


def library_versions() -> dict[str, str]:
    """What the bytes of a model depend on besides our own code."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in LIBRARIES}}


def _first(columns: Columns, rows: int) -> Columns:
    return {name: values[:rows] for name, values in columns.items()}


def _write_probe(test: Path, pipeline: Any, model: Shipped, signature: Signature, path: Path) -> None:
    """Rows a deployment sends before it takes traffic, with what it must answer (tolerance 1e-5).

    ``probabilities``: of class 1, or of every class by its name; of a regression ``values``.
    """
    numbers = [field.name for field in signature.inputs if field.kind == "number"]
    categories = [field.name for field in signature.inputs if field.kind == "category"]
    columns = _first(read_columns(test, numbers=numbers, categories=categories), PROBE_ROWS)
    task: Task = signature.task
    scores = _scores(pipeline, model, columns, task)
    rows = [
        {name: None if values[i] != values[i] else _plain(values[i]) for name, values in columns.items()}
        for i in range(len(scores))
    ]
    answers: list[object] = scores.tolist()
    if signature.classes:
        answers = [dict(zip(signature.classes, row, strict=True)) for row in scores.tolist()]
    probe = {"instances": rows, "values" if task == "regression" else "probabilities": answers}
    path.write_bytes(msgspec.json.encode(probe))


def _scores(pipeline: Any, model: Shipped, columns: Columns, task: Task) -> Floats:
    return score_pipeline(pipeline, columns, task) if model.refused else score_onnx(model.content, columns, task)


def _plain(value: object) -> object:
    return float(value) if isinstance(value, np.floating) else value
