"""scikit-learn pipelines by name. Preprocessing is part of the pipeline, so that it is exported with the model."""

from __future__ import annotations

import importlib
from typing import Any

from interlock.config import Config, Parameter
from interlock.errors import ConfigError

CLASSIFIERS = {
    "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
    "random_forest": "sklearn.ensemble.RandomForestClassifier",
    "linear": "sklearn.linear_model.LogisticRegression",
    "logistic": "sklearn.linear_model.LogisticRegression",
}
REGRESSORS = {
    "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingRegressor",
    "random_forest": "sklearn.ensemble.RandomForestRegressor",
    "linear": "sklearn.linear_model.LinearRegression",
}
# Families that split one input at a time: an ordinal code is as good as one column per category, and cheaper.
TREES = ("sklearn.ensemble.", "sklearn.tree.")
NULLS_ALLOWED = "HistGradientBoosting"


def build_pipeline(config: Config, parameters: dict[str, Parameter]) -> Any:
    """An unfitted ``Pipeline`` over columns: numbers as float32 (missing = NaN), categories as text (missing = '').

    ``parameters`` are the estimator's. Categories never seen in training become -1 (ordinal) or all zeros
    (one-hot), as they do when served. Gradient boosting is given ordinal codes and no ``categorical_features``:
    skl2onnx converts those silently wrong.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    path = import_path(config)
    estimator = build_estimator(config, parameters)
    number_steps: Any
    if path.startswith(TREES):
        number_steps = "passthrough" if NULLS_ALLOWED in path else SimpleImputer()
        category_steps = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype="float32")
    else:
        number_steps = Pipeline([("impute", SimpleImputer()), ("scale", StandardScaler())])
        category_steps = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    features = config.features
    parts = [("numbers", number_steps, features.numbers), ("categories", category_steps, features.categories)]
    encode = ColumnTransformer([part for part in parts if part[2]])
    return Pipeline([("encode", encode), ("estimate", estimator)])


def build_estimator(config: Config, parameters: dict[str, Parameter]) -> Any:
    """The unfitted estimator; :class:`ConfigError` when there is none of this name, or it takes no such parameter."""
    kind = _kind(import_path(config), config)
    if "categorical_features" in parameters:
        raise ConfigError("training.parameters.categorical_features: exported wrong by skl2onnx; remove it")
    allowed = kind().get_params()
    unknown = sorted(set(parameters) - set(allowed))
    if unknown:
        raise ConfigError(
            f"training.parameters: {', '.join(unknown)} unknown; "
            f"allowed for {config.training.estimator}: {', '.join(sorted(allowed))}"
        )
    seeded = {"random_state": config.seed} if "random_state" in allowed else {}
    return kind(**{**seeded, **parameters})


def import_path(config: Config) -> str:
    """Where the config's estimator is imported from, for its task."""
    named = REGRESSORS if config.task == "regression" else CLASSIFIERS
    return named.get(config.training.estimator, config.training.estimator)


def _kind(path: str, config: Config) -> Any:
    from sklearn.base import is_classifier, is_regressor

    module, _, name = path.rpartition(".")
    if not module:
        raise ConfigError(f"training.estimator: {path} is not for task {config.task}; give linear, or an import path")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"training.estimator: no class {path}: {error}") from error
    regression = config.task == "regression"
    wanted = "a regressor" if regression else "a classifier with predict_proba"
    try:
        fits = isinstance(kind, type) and (is_regressor(kind()) if regression else is_classifier(kind()))
    except TypeError as error:
        raise ConfigError(f"training.estimator: {path} cannot be made from parameters alone: {error}") from error
    if not fits or not (regression or hasattr(kind, "predict_proba")):
        raise ConfigError(f"training.estimator: {path} is not {wanted}: name one that is")
    return kind
