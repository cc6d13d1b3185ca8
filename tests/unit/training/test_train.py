"""Training: equal inputs give equal bytes, the exported model is the trained one, parameters are what was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from interlock.config import Config, Search, Training
from interlock.contracts import Manifest, Signature, read_contract
from interlock.errors import ConfigError, GateFailed
from interlock.serving.rows import frame_of
from interlock.training.columns import columns_of
from interlock.training.estimators import build_estimator
from interlock.training.export import damaged, export_onnx, require_parity, score_onnx
from interlock.training.fit import calibrate, combinations, fit_pipeline, row_weights, search_parameters

NUMBERS, CATEGORIES = ["load", "distance"], ["shop"]
Train = Callable[..., Manifest]


def split(source: Path, name: str) -> tuple[Any, Any, Any]:
    """Columns, frame, labels."""
    rows = pq.read_table(source / f"{name}.parquet")
    columns = columns_of(rows, numbers=NUMBERS, categories=CATEGORIES)
    return columns, frame_of(columns), rows.column("late").to_numpy().astype(np.int8)


def test_two_trainings_give_the_same_bytes(tmp_path: Path, train_orders: Train) -> None:
    one, two = train_orders(tmp_path / "one"), train_orders(tmp_path / "two")
    assert one == two
    for name in ("model.onnx", "signature.json", "manifest.json", "probe.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_manifest_names_what_is_in_the_folder(candidate: Path) -> None:
    manifest = read_contract(candidate / "manifest.json", Manifest)
    assert manifest.model_sha256 == hashlib.sha256((candidate / "model.onnx").read_bytes()).hexdigest()
    assert manifest.signature_sha256 == hashlib.sha256((candidate / "signature.json").read_bytes()).hexdigest()
    assert manifest.parameters == {"max_iter": 20}
    assert {"python", "scikit-learn", "skl2onnx", "onnx", "numpy"} <= set(manifest.libraries)


def test_probe_answers_are_the_models(candidate: Path, orders_source: Path) -> None:
    probe = msgspec.json.decode((candidate / "probe.json").read_bytes())
    columns, _, _ = split(orders_source, "test")
    scores = score_onnx((candidate / "model.onnx").read_bytes(), columns)[: len(probe["probabilities"])]
    assert probe["probabilities"] == [float(score) for score in scores]
    assert set(probe["instances"][0]) == {*NUMBERS, *CATEGORIES}


@pytest.mark.parametrize(
    ("estimator", "parameters"),
    [
        ("hist_gradient_boosting", {"max_iter": 10}),
        ("logistic", {}),
        ("random_forest", {"n_estimators": 10, "max_depth": 6}),
        ("sklearn.ensemble.GradientBoostingClassifier", {"n_estimators": 10}),
        ("sklearn.naive_bayes.GaussianNB", {}),
    ],
)
@pytest.mark.parametrize("calibration", ["none", "sigmoid"])
def test_export_is_equal_on_real_and_damaged_rows(
    tmp_path: Path, train_orders: Train, estimator: str, parameters: dict[str, Any], calibration: str
) -> None:
    if estimator.endswith("NB") and calibration == "sigmoid":
        pytest.skip("skl2onnx calibrates no naive Bayes")
    manifest = train_orders(tmp_path, estimator=estimator, parameters=parameters, calibration=calibration)
    assert manifest.parity_max_difference <= 1e-5
    assert read_contract(tmp_path / "signature.json", Signature).probability_output == "probabilities"


def test_damaged_rows_leave_out_each_field_alone(orders_source: Path) -> None:
    columns, _, _ = split(orders_source, "test")
    alone = damaged(columns)[3:]
    assert len(alone) == len(columns)
    for name, probe in zip([*NUMBERS, *CATEGORIES], alone, strict=True):
        others = [other for other in columns if other != name]
        assert all(
            np.array_equal(probe[other], columns[other][:200], equal_nan=False) for other in others if other != "load"
        )
        assert (probe[name] == "").all() if name in CATEGORIES else np.isnan(probe[name]).all()


def test_another_models_export_is_refused(orders_config: Config, orders_source: Path) -> None:
    columns, frame, labels = split(orders_source, "train")
    right = fit_pipeline(orders_config, frame, labels, {"max_iter": 20})
    wrong = fit_pipeline(orders_config, frame, labels, {"max_iter": 5})
    model = export_onnx(wrong, numbers=NUMBERS, categories=CATEGORIES)
    with pytest.raises(GateFailed, match="parity"):
        require_parity(right, model, columns, 0.5)


def test_what_cannot_be_converted_says_so(tmp_path: Path, train_orders: Train) -> None:
    path = "sklearn.ensemble.ExtraTreesClassifier"
    with pytest.raises(GateFailed, match="cannot be converted"):
        train_orders(tmp_path, estimator=path, parameters={"n_estimators": 5}, calibration="sigmoid")


@pytest.mark.parametrize(
    ("estimator", "parameters", "said"),
    [
        ("sklearn.ensemble.Nothing", {}, "no class"),
        ("sklearn.linear_model.LinearRegression", {}, "not a classifier"),
        ("sklearn.utils.check_array", {}, "not a classifier"),
        ("logistic", {"depth": 3}, "depth unknown"),
        ("hist_gradient_boosting", {"categorical_features": "from_dtype"}, "exported wrong"),
    ],
)
def test_wrong_estimators_are_config_errors(
    orders_config: Config, estimator: str, parameters: dict[str, Any], said: str
) -> None:
    config = msgspec.structs.replace(orders_config, training=Training(estimator=estimator))
    with pytest.raises(ConfigError, match=said):
        build_estimator(config, parameters)


def test_balanced_weights_give_both_labels_the_same_say(orders_config: Config) -> None:
    labels = np.array([0, 0, 0, 1], np.int8)
    training = msgspec.structs.replace(orders_config.training, class_weights="balanced")
    weights = row_weights(msgspec.structs.replace(orders_config, training=training), labels)
    assert weights is not None
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())


def test_class_weights_move_the_scores(orders_config: Config, orders_source: Path) -> None:
    _, frame, labels = split(orders_source, "train")
    plain = fit_pipeline(orders_config, frame, labels, {"max_iter": 20})
    training = msgspec.structs.replace(orders_config.training, class_weights={"0": 1.0, "1": 5.0})
    heavy = fit_pipeline(msgspec.structs.replace(orders_config, training=training), frame, labels, {"max_iter": 20})
    assert heavy.predict_proba(frame)[:, 1].mean() > plain.predict_proba(frame)[:, 1].mean() + 0.1


def test_calibration_mends_what_class_weights_distort(orders_config: Config, orders_source: Path) -> None:
    _, frame, labels = split(orders_source, "train")
    training = msgspec.structs.replace(orders_config.training, class_weights={"0": 1.0, "1": 5.0})
    pipeline = fit_pipeline(msgspec.structs.replace(orders_config, training=training), frame, labels, {"max_iter": 20})
    _, held_out, truth = split(orders_source, "validation")
    mended = calibrate(pipeline, held_out, truth)
    _, latest, outcome = split(orders_source, "test")
    assert abs(mended.predict_proba(latest)[:, 1].mean() - outcome.mean()) < 0.03


def test_search_finds_the_better_of_two(orders_config: Config, orders_source: Path) -> None:
    _, frame, labels = split(orders_source, "train")
    training = msgspec.structs.replace(
        orders_config.training, search=Search(space={"max_iter": [1, 30], "learning_rate": [0.1]}, folds=2)
    )
    found = search_parameters(msgspec.structs.replace(orders_config, training=training), frame, labels)
    assert found == {"max_iter": 30, "learning_rate": 0.1}


def test_search_never_exceeds_its_budget_and_is_repeatable() -> None:
    search = Search(space={"a": [1, 2, 3], "b": [1, 2, 3]}, budget=4)
    drawn = combinations(search, seed=1)
    assert len(drawn) == 4
    assert drawn == combinations(search, seed=1)
    assert len({tuple(sorted(point.items())) for point in drawn}) == 4
    assert len(combinations(msgspec.structs.replace(search, budget=20), seed=1)) == 9
