"""Bit vectors give what ONNX Runtime gives for the same trees, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from interlock.serving.bitvectors import bit_vectors
from interlock.serving.engines import open_session
from interlock.serving.ensemble import Ensemble, read_ensemble
from interlock.serving.graph import Node, cut_at_trees

WIDTH = 4


def exported(estimator: Any) -> bytes:
    """The estimator behind a step that cuts can be made after."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.base import is_classifier
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    rng = np.random.default_rng(5)
    features = features_of(rng, 3000)
    score = np.nan_to_num(features).sum(axis=1) + rng.normal(size=len(features))
    label = (score > 0).astype(int) if is_classifier(estimator) else score
    both = ColumnTransformer([("a", "passthrough", [0, 1]), ("b", "passthrough", [2, 3])])
    pipeline = Pipeline([("encode", both), ("estimate", estimator)]).fit(features, label)
    options = {"zipmap": False} if is_classifier(estimator) else None
    types = [("x", FloatTensorType([None, WIDTH]))]
    return bytes(to_onnx(pipeline, initial_types=types, options=options).SerializeToString())


def features_of(rng: np.random.Generator, rows: int) -> Any:
    """Numbers with ties, missing values, and one column of codes."""
    features = np.round(rng.normal(size=(rows, WIDTH)), 1).astype(np.float32)
    features[:, 3] = rng.integers(-1, 9, size=rows)
    features[:, :2][rng.random((rows, 2)) < 0.2] = np.nan
    return features


def boosting(kind: str, **settings: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    made = HistGradientBoostingClassifier if kind == "classifier" else HistGradientBoostingRegressor
    return made(**{"max_iter": 40} | settings)


def cut_of(model: bytes) -> tuple[Any, str, Node]:
    cut = cut_at_trees(model)
    assert cut is not None
    return open_session(cut.trees), cut.features, cut.ensemble


def ensemble_of(model: bytes) -> Ensemble | None:
    return read_ensemble(cut_of(model)[2])


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("classifier", {}),
        ("classifier", {"max_leaf_nodes": 64, "max_iter": 10}),
        ("classifier", {"max_leaf_nodes": 2}),
        ("regressor", {}),
    ],
)
def test_every_row_gets_the_same_bits(kind: str, settings: dict[str, Any]) -> None:
    session, name, node = cut_of(exported(boosting(kind, **settings)))
    ensemble = read_ensemble(node)
    assert ensemble is not None
    vectors = bit_vectors(ensemble)
    assert vectors is not None
    features = features_of(np.random.default_rng(6), 1500)
    features[:30] *= 1e30
    features[30:40] = np.inf
    features[40:50] = -np.inf
    features[50:60] = -0.0
    features[60:70] = np.nan
    thresholds = np.unique(ensemble.threshold)  # a value that is one goes left
    features[70 : 70 + min(100, len(thresholds)), :3] = thresholds[:100, None]
    output = session.get_outputs()[-1].name
    for rows in (2, vectors.fewest_rows, 255, 257, 513, 1500):
        expected = session.run([output], {name: features[:rows]})[0]
        found = vectors.score(features[:rows])
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_other_ensembles_are_left_to_onnx_runtime() -> None:
    from sklearn.ensemble import RandomForestClassifier

    # A forest has a weight for each class in each leaf.
    assert ensemble_of(exported(RandomForestClassifier(n_estimators=3, max_depth=3))) is None
    few = ensemble_of(exported(boosting("regressor", max_iter=1)))
    assert few is not None
    assert bit_vectors(few) is None
    large = ensemble_of(exported(boosting("regressor", max_leaf_nodes=200, min_samples_leaf=2)))
    assert large is not None
    assert bit_vectors(large) is None


def test_attributes_that_are_not_written_as_expected_are_not_read() -> None:
    node = cut_of(exported(boosting("classifier")))[2]
    assert read_ensemble(node) is not None
    for i, attribute in enumerate(node.attributes):
        if b"hitrates" in attribute or b"classlabels" in attribute:
            continue
        others = node.attributes[:i] + node.attributes[i + 1 :]
        for broken in (attribute[:-4], b""):
            assert read_ensemble(node._replace(attributes=[*others, broken])) is None, attribute[:20]
