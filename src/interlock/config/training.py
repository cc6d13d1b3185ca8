"""Config of training, and what a wrong decision costs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from interlock.config.section import Count, Positive, Section

Parameter = int | float | str | bool | None


class Search(Section, frozen=True, kw_only=True):
    """Hyper-parameters to choose from: ``budget`` combinations of ``space``, drawn with the config's seed.

    Each is scored by mean log-loss over ``folds`` cuts of the train split, always trained on earlier rows and
    scored on later ones. A space no larger than the budget is tried whole.
    """

    space: Annotated[dict[str, Annotated[list[Parameter], Meta(min_length=1)]], Meta(min_length=1)]
    budget: Annotated[int, Meta(ge=1, le=1000)] = 20
    folds: Annotated[int, Meta(ge=2, le=20)] = 3


class Training(Section, frozen=True, kw_only=True):
    """Estimator and its parameters. ``estimator``: ``hist_gradient_boosting``, ``logistic``, ``random_forest``, or
    the import path of a scikit-learn classifier, for instance ``sklearn.ensemble.GradientBoostingClassifier``.

    ``class_weights``: ``balanced``, or a weight per label. ``calibration``: ``sigmoid`` fits Platt's curve on the
    validation split. ``search`` overrides ``parameters`` of the same name by the best it finds.

    ``threads`` of the fit: sums of floats depend on it, so it belongs to what makes a model reproducible. Threads
    that share busy cores wait for each other: more than one pays on an idle machine with a large table only.
    """

    estimator: Annotated[str, Meta(pattern=r"^(hist_gradient_boosting|logistic|random_forest|sklearn(\.\w+)+)$")] = (
        "hist_gradient_boosting"
    )
    parameters: dict[str, Parameter] = {}
    threads: Count = 1
    class_weights: Literal["balanced"] | dict[str, Positive] | None = None
    calibration: Literal["none", "sigmoid"] = "none"
    search: Search | None = None


class Cost(Section, frozen=True, kw_only=True):
    """What a decision costs once the outcome is known, in the unit of the business metric."""

    false_positive: Annotated[float, Meta(ge=0)]
    false_negative: Annotated[float, Meta(ge=0)]
