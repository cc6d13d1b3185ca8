"""The fast path is taken where it is the same, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from interlock.contracts import InputField
from interlock.serving.engines import open_session
from interlock.serving.graph import cut_at_trees
from interlock.serving.rows import columns_of
from interlock.serving.trees import TreesOnly, trees_only

INPUTS = [
    InputField(name="a", kind="number"),
    InputField(name="b", kind="number"),
    InputField(name="c", kind="category"),
    InputField(name="d", kind="category"),
]


def exported(encoder: Any, estimator: Any) -> bytes:
    import pandas as pd
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.pipeline import Pipeline

    rng = np.random.default_rng(3)
    n = 600
    rows = pd.DataFrame(
        {
            "a": rng.normal(size=n).astype(np.float32),
            "b": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)).astype(np.float32),
            "c": rng.choice(["x", "y", "z", ""], size=n).astype(object),
            "d": rng.choice(["p", "q"], size=n).astype(object),
        }
    )
    label = (rows.a + (rows.c == "x") + rng.normal(size=n) > 0.5).astype(int)
    pipeline = Pipeline([("encode", encoder), ("estimate", estimator)]).fit(rows, label)
    types = [("a", FloatTensorType([None, 1])), ("b", FloatTensorType([None, 1]))]
    types += [("c", StringTensorType([None, 1])), ("d", StringTensorType([None, 1]))]
    return bytes(to_onnx(pipeline, initial_types=types, options={"zipmap": False}).SerializeToString())


def encoder(numbers: Any, categories: Any, *, categories_first: bool = False) -> Any:
    from sklearn.compose import ColumnTransformer

    parts = [("numbers", numbers, ["a", "b"]), ("categories", categories, ["c", "d"])]
    return ColumnTransformer(parts[::-1] if categories_first else parts)


def ordinal() -> Any:
    from sklearn.preprocessing import OrdinalEncoder

    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype="float32")


def fast_path(model: bytes) -> TreesOnly | None:
    return trees_only(
        model,
        inputs=INPUTS,
        output="probabilities",
        session=open_session(model),
        open_session=open_session,
        rows=[(1.0, None, "x", "p")],
    )


def boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=10)


@pytest.mark.parametrize("categories_first", [False, True])
def test_ordinal_codes_and_numbers_passed_through_are_the_fast_path(categories_first: bool) -> None:
    model = exported(encoder("passthrough", ordinal(), categories_first=categories_first), boosting())
    fast = fast_path(model)
    assert_same(model, fast)
    assert fast is not None
    assert fast.vectors is not None


def test_imputed_numbers_are_filled_in() -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer

    model = exported(encoder(SimpleImputer(), ordinal()), RandomForestClassifier(n_estimators=5, max_depth=4))
    fast = fast_path(model)
    assert_same(model, fast)
    assert fast is not None
    assert fast.vectors is None  # two outputs: walked by ONNX Runtime


def assert_same(model: bytes, fast: TreesOnly | None) -> None:
    assert fast is not None
    rows = [
        (0.5, None, "x", "p"),
        (None, 1.0, "", "q"),
        (-2.0, 0.25, None, None),
        (3e38, -3e38, "unseen", "P"),
        (None, None, "z\x00", "é"),
    ]
    feeds = {name: column.reshape(-1, 1) for name, column in columns_of(INPUTS, rows).items()}
    whole = open_session(model).run(["probabilities"], feeds)[0]
    np.testing.assert_array_equal(fast.score(rows), whole)
    np.testing.assert_array_equal(fast.score(rows * 60), np.tile(whole, (60, 1)))
    np.testing.assert_array_equal(np.concatenate([fast.score([row]) for row in rows]), whole)


def test_what_is_not_one_feature_an_input_is_served_whole() -> None:
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    assert fast_path(exported(encoder("passthrough", one_hot), boosting())) is None
    assert fast_path(exported(encoder(StandardScaler(), ordinal()), boosting())) is None


def test_what_has_no_trees_is_served_whole() -> None:
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression

    assert fast_path(exported(encoder(SimpleImputer(), ordinal()), LogisticRegression())) is None


def test_halves_that_do_not_answer_like_the_whole_are_not_used() -> None:
    model = exported(encoder("passthrough", ordinal()), boosting())
    other = exported(encoder("passthrough", ordinal()), boosting().set_params(max_iter=3))
    fast = trees_only(
        model,
        inputs=INPUTS,
        output="probabilities",
        session=open_session(other),  # stands for a whole graph that answers differently
        open_session=open_session,
        rows=[],
    )
    assert fast is None


@pytest.mark.parametrize("model", [b"", b"\x00", b"not a graph", b"\x3a\xff\xff\xff\xff\x0f", b"\x3a\x02\x0a"])
def test_what_is_no_onnx_file_is_not_cut(model: bytes) -> None:
    assert cut_at_trees(model) is None


def test_a_cut_off_file_is_not_cut() -> None:
    model = exported(encoder("passthrough", ordinal()), boosting())
    assert cut_at_trees(model) is not None
    for length in range(0, len(model), len(model) // 50):
        cut_at_trees(model[:length])  # None or halves, no exception
