"""scikit-learn pipelines by name. Preprocessing is part of the pipeline, so that it is exported with the model."""

from __future__ import annotations

import importlib
from typing import Any

from interlock.config import Parameter, Training
from interlock.errors import ConfigError

NAMED = {
    "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
    "random_forest": "sklearn.ensemble.RandomForestClassifier",
    "logistic": "sklearn.linear_model.LogisticRegression",
}
# Families that split one input at a time: an ordinal code is as good as one column per category, and cheaper.
TREES = ("sklearn.ensemble.", "sklearn.tree.")
NULLS_ALLOWED = "HistGradientBoosting"


def build_pipeline(
    training: Training, *, numbers: list[str], categories: list[str], seed: int, parameters: dict[str, Parameter]
) -> Any:
    """An unfitted ``Pipeline`` over columns: numbers as float32 (missing = NaN), categories as text (missing = '').

    ``parameters`` are the estimator's. Categories never seen in training become -1 (ordinal) or all zeros
    (one-hot), as they do when served. Gradient boosting is given ordinal codes and no ``categorical_features``:
    skl2onnx converts those silently wrong.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    path = NAMED.get(training.estimator, training.estimator)
    estimator = build_estimator(training, seed, parameters)
    number_steps: Any
    if path.startswith(TREES):
        number_steps = "passthrough" if NULLS_ALLOWED in path else SimpleImputer()
        category_steps = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype="float32")
    else:
        number_steps = Pipeline([("impute", SimpleImputer()), ("scale", StandardScaler())])
        category_steps = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    parts = [("numbers", number_steps, numbers), ("categories", category_steps, categories)]
    encode = ColumnTransformer([part for part in parts if part[2]])
    return Pipeline([("encode", encode), ("estimate", estimator)])


def build_estimator(training: Training, seed: int, parameters: dict[str, Parameter]) -> Any:
    """The unfitted classifier; :class:`ConfigError` when there is none of this name, or it takes no such parameter."""
    kind = _classifier(NAMED.get(training.estimator, training.estimator))
    if "categorical_features" in parameters:
        raise ConfigError("training.parameters.categorical_features: exported wrong by skl2onnx; remove it")
    allowed = kind().get_params()
    unknown = sorted(set(parameters) - set(allowed))
    if unknown:
        raise ConfigError(
            f"training.parameters: {', '.join(unknown)} unknown; "
            f"allowed for {training.estimator}: {', '.join(sorted(allowed))}"
        )
    seeded = {"random_state": seed} if "random_state" in allowed else {}
    return kind(**{**seeded, **parameters})


def _classifier(path: str) -> Any:
    from sklearn.base import is_classifier

    module, _, name = path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"training.estimator: no class {path}: {error}") from error
    if not isinstance(kind, type) or not hasattr(kind, "predict_proba") or not is_classifier(kind()):
        raise ConfigError(f"training.estimator: {path} is not a classifier with predict_proba: name one that is")
    return kind
