"""scikit-learn pipelines by name. Preprocessing is part of the pipeline, so that it is exported with the model."""

from __future__ import annotations

from typing import Any

from interlock.config import Training
from interlock.errors import ConfigError


def build_pipeline(training: Training, *, numbers: list[str], categories: list[str], seed: int) -> Any:
    """An unfitted ``Pipeline`` over columns: numbers as float32 (missing = NaN), categories as text (missing = '').

    Categories never seen in training become -1 (ordinal) or all zeros (one-hot), as they do when served.
    Gradient boosting is given ordinal codes and no ``categorical_features``: skl2onnx converts those silently
    wrong.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    estimator = _estimator(training, seed)
    if training.estimator == "logistic":
        number_steps: Any = Pipeline([("impute", SimpleImputer()), ("scale", StandardScaler())])
        category_steps: Any = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    else:
        number_steps = "passthrough" if training.estimator == "hist_gradient_boosting" else SimpleImputer()
        category_steps = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype="float32")
    parts = [("numbers", number_steps, numbers), ("categories", category_steps, categories)]
    encode = ColumnTransformer([part for part in parts if part[2]])
    return Pipeline([("encode", encode), ("estimate", estimator)])


def _estimator(training: Training, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    kinds = {
        "hist_gradient_boosting": HistGradientBoostingClassifier,
        "random_forest": RandomForestClassifier,
        "logistic": LogisticRegression,
    }
    kind = kinds[training.estimator]
    if "categorical_features" in training.parameters:
        raise ConfigError("training.parameters.categorical_features: exported wrong by skl2onnx; remove it")
    try:
        return kind(random_state=seed, **training.parameters)
    except TypeError as error:
        allowed = ", ".join(sorted(kind().get_params()))
        raise ConfigError(f"training.parameters: {error}; allowed for {training.estimator}: {allowed}") from error
