"""Several classes and plain numbers: trained, exported equal, evaluated; and what cannot be exported."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_limits

from interlock.config import Config, Label, Search, parse_config
from interlock.contracts import Manifest, Signature, read_contract
from interlock.errors import ConfigError, ContractError, GateFailed, InputError
from interlock.evaluation.evaluate import measures, score, slice_masks
from interlock.serving.model import load_model
from interlock.training.export import export_onnx, require_parity
from interlock.training.fit import fit_pipeline, row_weights, search_parameters
from interlock.training.labels import read_labels
from interlock.training.train import Provenance, train_model

CLASSES = ["early", "on time", "late"]
TEXT = """
name: orders
task: {task}
seed: 3
source: {{table: orders.csv, time: day, key: [order]}}
label: {{name: arrival, sql: arrival{classes}}}
features: {{numbers: [load, distance], categories: [shop]}}
slices: [shop]
gates:
  metrics: [{{metric: {metric}, {side}: 0.5}}]
  regression: [{{metric: {metric}, within: 0.1}}]
  latency_p99_ms: 1000
  size_megabytes: 10
metrics: [{{name: sold, value: amount, role: business, cap: 4}}]
strategy: {{steps: [{{weight: 10, margin: 0.5}}]}}
"""
MULTICLASS = parse_config(
    TEXT.format(task="multiclass", classes=f", classes: [{', '.join(CLASSES)}]", metric="accuracy", side="at_least")
)
REGRESSION = parse_config(TEXT.format(task="regression", classes="", metric="rmse", side="at_most"))
Fit = Callable[..., Manifest]


def source_of(folder: Path, config: Config) -> Path:
    """Splits whose label depends on both numbers and on the category."""
    for seed, (name, rows) in enumerate({"train": 1500, "validation": 500, "test": 800}.items()):
        random = np.random.default_rng(seed)
        load, distance = random.normal(size=rows), random.normal(size=rows)
        shop = random.integers(0, 3, rows)
        value = 20 + 5 * load - 3 * distance + 2 * shop + random.normal(size=rows)
        load[random.random(rows) < 0.05] = np.nan
        label: Any = np.asarray(CLASSES)[np.digitize(value, [18, 24])] if config.label.classes else value
        table = {
            "row_key": [f"{seed}-{i}" for i in range(rows)],
            "row_time": np.arange(rows),
            "arrival": label,
            "load": pa.array(load, pa.float32(), from_pandas=True),
            "distance": pa.array(distance, pa.float32()),
            "shop": [["a", "b", ""][i] for i in shop],
        }
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module", params=[MULTICLASS, REGRESSION], ids=lambda config: config.task)
def config(request: pytest.FixtureRequest) -> Config:
    found: Config = request.param
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Path:
    return source_of(tmp_path_factory.mktemp(config.task), config)


@pytest.fixture
def fit(tmp_path: Path, config: Config, source: Path, orders_features: Any) -> Fit:
    """Train into ``tmp_path``; keywords replace parts of ``training``."""

    def run(folder: Path = tmp_path, **training: object) -> Manifest:
        changed = msgspec.structs.replace(config, training=msgspec.structs.replace(config.training, **training))
        return train_model(
            changed,
            features=orders_features,
            source=source,
            folder=folder,
            provenance=Provenance(config="", window=["", ""]),
        )

    return run


ESTIMATORS: list[tuple[str, dict[str, Any]]] = [
    ("hist_gradient_boosting", {"max_iter": 10}),
    ("linear", {}),
    ("random_forest", {"n_estimators": 10, "max_depth": 6}),
    ("sklearn.ensemble.GradientBoosting", {"n_estimators": 20}),
]


@pytest.mark.parametrize(("estimator", "parameters"), ESTIMATORS, ids=[name for name, _ in ESTIMATORS])
def test_export_is_equal_on_real_and_damaged_rows(
    tmp_path: Path, config: Config, source: Path, fit: Fit, estimator: str, parameters: dict[str, Any]
) -> None:
    if estimator.startswith("sklearn"):
        estimator += "Regressor" if config.task == "regression" else "Classifier"
    manifest = fit(estimator=estimator, parameters=parameters)
    assert manifest.format == "onnx"
    assert manifest.parity_max_difference <= 1e-5
    model = load_model(tmp_path, fast=True)
    rows = pq.read_table(source / "test.parquet")
    answers = score(model, rows, config, "candidate")
    found = {(m.metric, m.slice): m.value for m in measures(config, answers, slice_masks(rows, config))}
    if config.task == "multiclass":
        assert found["accuracy", ""] > 0.7
        assert found["recall:late", "shop=a"] is not None
    else:
        assert found["rmse", ""] < 4
        assert found["r2", "shop=a"] > 0.6


def test_two_trainings_give_the_same_bytes(tmp_path: Path, fit: Fit) -> None:
    parameters = {"parameters": {"max_iter": 10}}
    assert fit(tmp_path / "one", **parameters) == fit(tmp_path / "two", **parameters)
    for name in ("model.onnx", "signature.json", "manifest.json", "probe.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_server_answers_by_the_trees_alone_and_with_the_same_bits(tmp_path: Path, fit: Fit, source: Path) -> None:
    fit(parameters={"max_iter": 10})
    fast, whole = load_model(tmp_path, fast=True), load_model(tmp_path)
    assert fast.engine == "trees"
    rows = [(0.5, None, "a"), (None, 1.0, ""), (-2.0, 0.25, "never seen")]
    assert np.array_equal(fast.score_rows(rows), whole.score_rows(rows))


def test_search_takes_the_lowest_loss(config: Config, source: Path) -> None:
    space: dict[str, Any] = {"fit_intercept": [False, True]} if config.task == "regression" else {"C": [1e-4, 1.0]}
    training = msgspec.structs.replace(config.training, estimator="linear", search=Search(space=space, folds=2))
    rows = pq.read_table(source / "train.parquet")
    found = search_parameters(
        msgspec.structs.replace(config, training=training), frame(rows, config), read_labels(rows, config)
    )
    assert found == {name: values[1] for name, values in space.items()}


def frame(rows: pa.Table, config: Config) -> Any:
    from interlock.serving.rows import frame_of
    from interlock.training.columns import columns_of

    return frame_of(columns_of(rows, numbers=config.features.numbers, categories=config.features.categories))


def test_another_models_export_is_refused(config: Config, source: Path) -> None:
    from interlock.training.columns import columns_of

    numbers, categories = config.features.numbers, config.features.categories
    rows = pq.read_table(source / "train.parquet")
    labels = read_labels(rows, config)
    with threadpool_limits(1):
        right, wrong = (fit_pipeline(config, frame(rows, config), labels, {"max_iter": n}) for n in (9, 8))
    model = export_onnx(wrong, numbers=numbers, categories=categories, task=config.task)
    columns = columns_of(rows, numbers=numbers, categories=categories)
    with pytest.raises(GateFailed, match="parity"):
        require_parity(right, model, columns, 0.0, config.task)


def test_balanced_weights_give_every_class_the_same_say() -> None:
    training = msgspec.structs.replace(MULTICLASS.training, class_weights="balanced")
    labels = np.array([0, 0, 0, 1, 2, 2])
    weights = row_weights(msgspec.structs.replace(MULTICLASS, training=training), labels)
    assert weights is not None
    assert [weights[labels == k].sum() for k in range(3)] == pytest.approx([2.0, 2.0, 2.0])


def test_calibration_of_several_classes_is_exported_equal(tmp_path: Path, orders_features: Any) -> None:
    training = msgspec.structs.replace(
        MULTICLASS.training,
        parameters={"max_iter": 10},
        calibration="sigmoid",
        class_weights={"early": 1.0, "on time": 1.0, "late": 5.0},
    )
    manifest = train_model(
        msgspec.structs.replace(MULTICLASS, training=training),
        features=orders_features,
        source=source_of(tmp_path, MULTICLASS),
        folder=tmp_path / "candidate",
        provenance=Provenance(config="", window=[]),
    )
    assert manifest.parity_max_difference <= 1e-5
    assert read_contract(tmp_path / "candidate" / "signature.json", Signature).classes == CLASSES


@pytest.mark.parametrize(
    ("config", "estimator", "said"),
    [
        (REGRESSION, "logistic", "logistic is not for task regression"),
        (REGRESSION, "sklearn.linear_model.LogisticRegression", "not a regressor"),
        (MULTICLASS, "sklearn.linear_model.Ridge", "not a classifier"),
        (MULTICLASS, "sklearn.ensemble.VotingClassifier", "cannot be made from parameters alone"),
    ],
)
def test_estimators_of_another_task_are_config_errors(config: Config, estimator: str, said: str) -> None:
    from interlock.training.estimators import build_estimator

    training = msgspec.structs.replace(config.training, estimator=estimator)
    with pytest.raises(ConfigError, match=said):
        build_estimator(msgspec.structs.replace(config, training=training), {})


def test_a_label_that_is_no_class_is_refused() -> None:
    rows = pa.table({"arrival": ["late", "never"]})
    with pytest.raises(InputError, match="1 labels are not in early, on time, late"):
        read_labels(rows, MULTICLASS)
    fewer = msgspec.structs.replace(MULTICLASS, label=Label(name="arrival", sql="x", classes=["never", "late"]))
    assert read_labels(rows, fewer).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("config", "estimator"),
    [(REGRESSION, "sklearn.kernel_ridge.KernelRidge"), (MULTICLASS, "sklearn.semi_supervised.LabelSpreading")],
)
def test_what_cannot_be_exported_ships_as_a_pickle_where_the_config_allows_it(
    tmp_path: Path, orders_features: Any, config: Config, estimator: str
) -> None:
    source = source_of(tmp_path, config)

    def train(name: str, *, allowed: bool) -> Manifest:
        training = msgspec.structs.replace(config.training, estimator=estimator, allow_pickle=allowed)
        return train_model(
            msgspec.structs.replace(config, training=training),
            features=orders_features,
            source=source,
            folder=tmp_path / name,
            provenance=Provenance(config="", window=[]),
        )

    with pytest.raises(GateFailed, match=r"cannot be converted to ONNX.*or set training\.allow_pickle"):
        train("refused", allowed=False)
    assert not (tmp_path / "refused").exists()
    manifest = train("one", allowed=True)
    assert manifest.format == "joblib"
    assert "cannot be converted to ONNX" in manifest.export_refused
    assert train("two", allowed=True) == manifest
    assert (tmp_path / "one" / "model.joblib").is_file()
    assert not (tmp_path / "one" / "model.onnx").exists()
    with pytest.raises(InputError, match="is a pickle"):
        load_model(tmp_path / "one")
    model = load_model(tmp_path / "one", allow_pickle=True)
    rows = pq.read_table(source / "test.parquet")
    answers = score(model, rows, config, "candidate")
    known = msgspec.json.decode((tmp_path / "one" / "probe.json").read_bytes())
    told = known.get("values") or [max(row.values()) for row in known["probabilities"]]
    assert answers.told()[: len(told)] == pytest.approx(told, abs=1e-5, rel=1e-5)


def test_a_changed_pickle_is_never_loaded(tmp_path: Path, orders_features: Any) -> None:
    training = msgspec.structs.replace(
        REGRESSION.training, estimator="sklearn.kernel_ridge.KernelRidge", allow_pickle=True
    )
    train_model(
        msgspec.structs.replace(REGRESSION, training=training),
        features=orders_features,
        source=source_of(tmp_path, REGRESSION),
        folder=tmp_path / "candidate",
        provenance=Provenance(config="", window=[]),
    )
    (tmp_path / "candidate" / "model.joblib").write_bytes(Bomb.pickled(tmp_path / "ran"))
    with pytest.raises(ContractError, match=r"model\.joblib has sha256"):
        load_model(tmp_path / "candidate", allow_pickle=True)
    assert not (tmp_path / "ran").exists()


class Bomb:
    """Something that leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)

    @classmethod
    def pickled(cls, path: Path) -> bytes:
        return pickle.dumps(cls(path))


def test_a_threshold_never_lands_on_a_value() -> None:
    """Between 32.8 and 33 the split is at 32.9, which is below or above it in single precision as in double."""
    x = np.array([32.8, 33.0] * 60, np.float32)
    frame = pd.DataFrame({"load": x, "distance": np.zeros_like(x), "shop": ["a"] * len(x)})
    pipeline = fit_pipeline(REGRESSION, frame, np.where(x > 32.9, 1000.0, 1.0), {})
    model = export_onnx(pipeline, numbers=["load", "distance"], categories=["shop"], task="regression")
    middle = (np.float64(x[0]) + np.float64(x[1])) / 2
    between = np.array([32.9, np.float32(middle), np.nextafter(np.float32(middle), np.float32(0))], np.float32)
    probe = {"load": between, "distance": np.zeros(3, np.float32), "shop": np.array(["a"] * 3, dtype=object)}
    assert require_parity(pipeline, model, probe, 0.5, "regression") < 1e-5
    assert set(np.round(pipeline.predict(pd.DataFrame(probe)))) == {1, 1000}
