"""Fitting: class weights, the search for parameters, and calibration. Rows are in the order of time."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interlock.config import Config, Parameter, Search
from interlock.errors import ConfigError
from interlock.training.estimators import build_pipeline
from interlock.training.labels import Labels

Parameters = dict[str, Parameter]


def fit_pipeline(config: Config, inputs: Any, labels: Labels, parameters: Parameters) -> Any:
    """A fitted pipeline. inputs: frame (n, inputs); labels: (n,), see :mod:`interlock.training.labels`."""
    from sklearn.utils.validation import has_fit_parameter

    pipeline = build_pipeline(config, parameters)
    weights = row_weights(config, labels)
    if weights is None:
        return _round_thresholds(pipeline.fit(inputs, labels))
    if not has_fit_parameter(pipeline.steps[-1][1], "sample_weight"):
        raise ConfigError(f"training.class_weights: {config.training.estimator} takes no weights; remove them")
    return _round_thresholds(pipeline.fit(inputs, labels, estimate__sample_weight=weights))


def _round_thresholds(pipeline: Any) -> Any:
    """Thresholds of gradient boosting down to single precision, in place; no single-precision row changes sides.

    ONNX holds them in single precision. Rounded to nearest there, one can become a value of the table (between 32.8
    and 33 lies 32.9), which then goes the other way than in scikit-learn. Its other trees are exported rounded down.
    """
    for iteration in getattr(pipeline.steps[-1][1], "_predictors", []):
        for tree in iteration:
            exact = tree.nodes["num_threshold"]
            nearest = exact.astype(np.float32)
            below = np.nextafter(nearest, np.float32(-np.inf))
            tree.nodes["num_threshold"] = np.where(nearest > exact, below, nearest)
    return pipeline


def row_weights(config: Config, labels: Labels) -> NDArray[np.float64] | None:
    """A weight per row, (n,), None where all count alike. ``balanced``: all labels weigh the same in total."""
    given = config.training.class_weights
    if given is None:
        return None
    names = config.label.classes or ["0", "1"]
    if isinstance(given, dict):
        per_label = np.array([given[name] for name in names])
    else:
        counts = np.maximum(np.bincount(labels, minlength=len(names)), 1)
        per_label = len(labels) / (len(names) * counts)
    weights: NDArray[np.float64] = per_label[labels]
    return weights


def search_parameters(config: Config, inputs: Any, labels: Labels) -> Parameters:
    """The config's parameters, with those of the search replaced by the combination of lowest loss.

    Folds only ever predict rows later than those they were fitted on. The first of equals wins.
    """
    from sklearn.model_selection import TimeSeriesSplit

    search = config.training.search
    if search is None:
        return dict(config.training.parameters)
    folds = list(TimeSeriesSplit(n_splits=search.folds).split(labels))
    best, lowest = dict(config.training.parameters), np.inf
    for chosen in combinations(search, config.seed):
        parameters = {**config.training.parameters, **chosen}
        losses = []
        for earlier, later in folds:
            pipeline = fit_pipeline(config, inputs.iloc[earlier], labels[earlier], parameters)
            losses.append(_loss(config, pipeline, inputs.iloc[later], labels[later]))
        if np.mean(losses) < lowest:
            best, lowest = parameters, float(np.mean(losses))
    return best


def _loss(config: Config, pipeline: Any, inputs: Any, labels: Labels) -> float:
    """Mean log-loss, or mean squared error of a regression."""
    from sklearn.metrics import log_loss, mean_squared_error

    if config.task == "regression":
        return float(mean_squared_error(labels, pipeline.predict(inputs)))
    names = range(len(config.label.classes) or 2)
    scores = np.zeros((len(labels), len(names)))
    scores[:, pipeline.classes_] = pipeline.predict_proba(inputs)  # earlier rows may lack a class
    return float(log_loss(labels, scores, labels=list(names)))


def combinations(search: Search, seed: int) -> list[Parameters]:
    """At most ``budget`` different points of the space, the same for the same seed."""
    names = sorted(search.space)
    every = [dict(zip(names, values, strict=True)) for values in itertools.product(*(search.space[n] for n in names))]
    return every if len(every) <= search.budget else random.Random(seed).sample(every, search.budget)


def calibrate(pipeline: Any, inputs: Any, labels: Labels) -> Any:
    """The pipeline with Platt's curve over its scores, fitted on rows the model has not seen.

    Isotonic calibration is not offered: skl2onnx exports it as steps where scikit-learn interpolates.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import Pipeline

    encode, estimator = pipeline.steps[0][1], pipeline.steps[1][1]
    calibrated = CalibratedClassifierCV(FrozenEstimator(estimator), method="sigmoid")
    calibrated.fit(encode.transform(inputs), labels)
    # skl2onnx knows the classifier, not its frozen shell.
    calibrated.estimator = estimator
    calibrated.calibrated_classifiers_[0].estimator = estimator
    return Pipeline([("encode", encode), ("estimate", calibrated)])
