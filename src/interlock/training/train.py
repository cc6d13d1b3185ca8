"""Stage 4, training: features become a candidate, a folder the model server can serve.

::

    model.onnx        the whole pipeline, preprocessing included
    signature.json    what it takes and gives
    manifest.json     where it comes from
    probe.json        a few test rows with the answers they must get
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from interlock.config import Config, config_sha256
from interlock.contracts import Features, InputField, Manifest, Signature, write_contract
from interlock.features.query import KEY
from interlock.serving.rows import frame_of
from interlock.training.columns import Columns, columns_of, read_columns
from interlock.training.estimators import build_estimator
from interlock.training.export import export_onnx, require_parity, score_onnx
from interlock.training.fit import calibrate, fit_pipeline, search_parameters
from interlock.training.threshold import cheapest_threshold

PROBE_ROWS = 32
PARITY_ROWS = 5000
LIBRARIES = ("scikit-learn", "skl2onnx", "onnx", "numpy", "pyarrow")


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller knows about this run and the core cannot see."""

    config: str
    window: list[str]
    git_revision: str = ""
    image: str = ""
    lock_sha256: str = ""


def train_model(config: Config, *, features: Features, source: Path, folder: Path, provenance: Provenance) -> Manifest:
    """Fit, choose the threshold, export, prove parity, and write the candidate's folder.

    Equal features, config and libraries give equal bytes.
    """
    numbers, categories = config.features.numbers, config.features.categories
    # Early, to refuse wrong parameters, and to load the libraries that threads are limited in: the limit does not
    # reach what is loaded later.
    build_estimator(config.training, config.seed, config.training.parameters)
    train = pq.read_table(source / "train.parquet")
    inputs, labels = frame_of(columns_of(train, numbers=numbers, categories=categories)), _labels(train, features.label)
    validation = pq.read_table(source / "validation.parquet")
    columns = columns_of(validation, numbers=numbers, categories=categories)
    held_out = _labels(validation, features.label)
    with threadpool_limits(config.training.threads):
        parameters = search_parameters(config, inputs, labels)
        pipeline = fit_pipeline(config, inputs, labels, parameters)
        if config.training.calibration == "sigmoid":
            pipeline = calibrate(pipeline, frame_of(columns), held_out)

    model = export_onnx(pipeline, numbers=numbers, categories=categories)
    threshold = cheapest_threshold(held_out, score_onnx(model, columns), config.cost)
    with threadpool_limits(config.training.threads):
        difference = require_parity(pipeline, model, _first(columns, PARITY_ROWS), threshold)

    signature = Signature(
        task=config.task,
        inputs=[InputField(name=name, kind="number") for name in numbers]
        + [InputField(name=name, kind="category") for name in categories],
        threshold=threshold,
        ignored=[KEY],
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    write_contract(signature, folder / "signature.json")
    _write_probe(source / "test.parquet", model, signature, folder / "probe.json")
    manifest = Manifest(
        name=config.name,
        model_sha256=hashlib.sha256(model).hexdigest(),
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
        parity_max_difference=difference,
    )
    write_contract(manifest, folder / "manifest.json")
    return manifest


def library_versions() -> dict[str, str]:
    """What the bytes of a model depend on besides our own code."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in LIBRARIES}}


def _labels(rows: pa.Table, label: str) -> NDArray[np.int8]:
    labels: NDArray[np.int8] = rows.column(label).to_numpy().astype(np.int8)
    return labels


def _first(columns: Columns, rows: int) -> Columns:
    return {name: values[:rows] for name, values in columns.items()}


def _write_probe(test: Path, model: bytes, signature: Signature, path: Path) -> None:
    """Rows a deployment sends before it takes traffic, with the probabilities it must answer (tolerance 1e-5)."""
    numbers = [field.name for field in signature.inputs if field.kind == "number"]
    categories = [field.name for field in signature.inputs if field.kind == "category"]
    columns = _first(read_columns(test, numbers=numbers, categories=categories), PROBE_ROWS)
    scores = score_onnx(model, columns)
    rows = [
        {name: None if values[i] != values[i] else _plain(values[i]) for name, values in columns.items()}
        for i in range(len(scores))
    ]
    probe = {"instances": rows, "probabilities": [float(score) for score in scores]}
    path.write_bytes(msgspec.json.encode(probe))


def _plain(value: object) -> object:
    return float(value) if isinstance(value, np.floating) else value
