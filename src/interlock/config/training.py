"""Config of training, and what a wrong decision costs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from interlock.config.section import Count, Positive, Section

Parameter = int | float | str | bool | None


ESTIMATORS = ("hist_gradient_boosting", "random_forest", "linear", "logistic")


class Search(Section, frozen=True, kw_only=True):
    """Hyper-parameters to choose from: ``budget`` combinations of ``space``, drawn with the config's seed.

    Each is scored by mean log-loss (regression: mean squared error) over ``folds`` cuts of the train split, always
    trained on earlier rows and scored on later ones. A space no larger than the budget is tried whole.
    """

    space: Annotated[dict[str, Annotated[list[Parameter], Meta(min_length=1)]], Meta(min_length=1)]
    budget: Annotated[int, Meta(ge=1, le=1000)] = 20
    folds: Annotated[int, Meta(ge=2, le=20)] = 3


class Machine(Section, frozen=True, kw_only=True):
    """What the training step asks for; '' and 0 leave it to the platform. It is in the compiled template, so a change
    needs ``interlock compile`` (``submit`` and ``run`` compile by themselves).

    ``cpu`` cores and ``memory`` (as Kubernetes writes it): Vertex AI takes the smallest machine type that has both.
    ``spot``: cheaper capacity that may be taken away; of Kubernetes only, a step of Vertex AI Pipelines has none.
    """

    cpu: Annotated[str, Meta(pattern=r"^(\d+(\.\d+)?|\d+m)?$")] = ""
    memory: Annotated[str, Meta(pattern=r"^(\d+(\.\d+)?([KMGTP]i?)?)?$")] = ""
    accelerator: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._/-]*$")] = ""
    accelerators: Annotated[int, Meta(ge=0, le=16)] = 0
    spot: bool = False


class Training(Section, frozen=True, kw_only=True):
    """Estimator and its parameters. ``estimator``: ``hist_gradient_boosting``, ``random_forest``, ``linear``
    (``logistic`` where the task has classes), or the import path of a scikit-learn classifier or regressor, for
    instance ``sklearn.ensemble.GradientBoostingClassifier``.

    ``class_weights``: ``balanced``, or a weight per label. ``calibration``: ``sigmoid`` fits Platt's curve on the
    validation split. ``search`` overrides ``parameters`` of the same name by the best it finds.

    ``allow_pickle``: a model that cannot be exported to ONNX ships as a pickle, which can run anything in the
    process that loads it; without, it does not ship.

    ``threads`` of the fit: sums of floats depend on it, so it belongs to what makes a model reproducible. Threads
    that share busy cores wait for each other: more than one pays on an idle machine with a large table only.
    """

    estimator: Annotated[str, Meta(pattern=rf"^({'|'.join(ESTIMATORS)}|sklearn(\.\w+)+)$")] = "hist_gradient_boosting"
    parameters: dict[str, Parameter] = {}
    threads: Count = 1
    class_weights: Literal["balanced"] | dict[str, Positive] | None = None
    calibration: Literal["none", "sigmoid"] = "none"
    search: Search | None = None
    allow_pickle: bool = False
    machine: Machine = Machine()


class Cost(Section, frozen=True, kw_only=True):
    """What a decision costs once the outcome is known, in the unit of the business metric."""

    false_positive: Annotated[float, Meta(ge=0)]
    false_negative: Annotated[float, Meta(ge=0)]


FREE = Cost(false_positive=0.0, false_negative=0.0)
