"""Config of the five gates."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from interlock.config.section import Count, Positive, Section
from interlock.contracts import Task

# What each task is measured by. A name with ``:`` is about one class, or one quantile.
OFFLINE_METRICS = (
    "auc",
    "average_precision",
    "log_loss",
    "brier",
    "calibration_error",
    "precision",
    "recall",
    "f1",
    "cost",
)
MULTICLASS_METRICS = (
    "accuracy",
    "log_loss",
    "brier",
    "calibration_error",
    "auc_macro",
    "precision_macro",
    "recall_macro",
    "f1_macro",
)
CLASS_METRICS = ("auc", "precision", "recall", "f1")
REGRESSION_METRICS = ("mae", "rmse", "r2", "bias")
QUANTILE_LOSS = "quantile_loss"
QUANTILES = ("0.1", "0.5", "0.9")

PAIRED_METRICS = ("auc", "log_loss", "brier", "cost")
# One error has one sign: bias has no better direction, and calibration of top answers has no pairs.
UNPAIRED = ("bias", "calibration_error")

LOWER_IS_BETTER = ("log_loss", "brier", "calibration_error", "cost", "mae", "rmse", QUANTILE_LOSS)


def lower_is_better(metric: str) -> bool:
    """Whether a lower value is better; ``quantile_loss:0.9`` is as ``quantile_loss``."""
    return metric.partition(":")[0] in LOWER_IS_BETTER


def metrics_of(task: Task, classes: Sequence[str], named: Sequence[str] = ()) -> tuple[str, ...]:
    """Every metric of ``task`` that is measured; ``named``: those of the rules, for quantiles beside the usual."""
    if task == "binary":
        return OFFLINE_METRICS
    if task == "multiclass":
        return (*MULTICLASS_METRICS, *(f"{metric}:{name}" for metric in CLASS_METRICS for name in classes))
    usual = (*REGRESSION_METRICS, *(f"{QUANTILE_LOSS}:{q}" for q in QUANTILES))
    return (*usual, *dict.fromkeys(name for name in named if _is_quantile_loss(name) and name not in usual))


def paired_metrics(task: Task, classes: Sequence[str], named: Sequence[str] = ()) -> tuple[str, ...]:
    """Those of :func:`metrics_of` in which candidate and champion are compared."""
    if task == "binary":
        return PAIRED_METRICS
    return tuple(metric for metric in metrics_of(task, classes, named) if metric not in UNPAIRED)


def unknown_metric(metric: str, known: Sequence[str], task: Task) -> str:
    """Why a rule cannot be about ``metric``, '' if it can."""
    if metric in known or (task == "regression" and _is_quantile_loss(metric)):
        return ""
    more = f", {QUANTILE_LOSS}:Q with 0 < Q < 1" if task == "regression" else ""
    return f"{metric!r} is not a metric of task {task}; allowed: {', '.join(known)}{more}"


def _is_quantile_loss(metric: str) -> bool:
    name, _, quantile = metric.partition(":")
    return name == QUANTILE_LOSS and re.fullmatch(r"0\.\d*[1-9]\d*", quantile) is not None


class Rule(Section, frozen=True, kw_only=True):
    """What all gate rules share. ``slice`` '' is all rows; a column, or ``one&other`` for a pair: every value of it.

    ``on: bound`` passes when the 95 % bound clears the limit: good is proved. ``on: harm`` fails when the limit
    is shown to be broken, corrected for all such tests of the report: bad is proved. Without a word, all rows
    are judged on the bound and slices on harm. Fewer than ``minimum_rows`` rows are "not enough data":
    ``too_few`` says what that means.
    """

    slice: str = ""
    on: Literal["bound", "harm"] | None = None
    minimum_rows: Count = 200
    too_few: Literal["pass", "fail"] = "fail"

    @property
    def proves(self) -> str:
        """``bound`` or ``harm``."""
        return self.on or ("harm" if self.slice else "bound")


class MetricRule(Rule, frozen=True, kw_only=True):
    """An absolute limit for the candidate."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None


class RegressionRule(Rule, frozen=True, kw_only=True):
    """Not worse than the champion on the same rows by more than ``within`` (relative to the champion)."""

    metric: str
    within: Annotated[float, Meta(ge=0, lt=1)]


class Waiver(Section, frozen=True, kw_only=True):
    """A rule that may stay closed, until ``expires`` (a date, the last day). ``slice`` '' is the rule on all rows."""

    gate: Literal["metrics", "regression", "latency", "size"]
    rule: str
    slice: str = ""
    owner: Annotated[str, Meta(min_length=1)]
    reason: Annotated[str, Meta(min_length=1)]
    expires: datetime.date


class Gates(Section, frozen=True, kw_only=True):
    """The five gates. The data gate has no settings: every blocking anomaly closes it.

    ``latency_p99_ms``: the upper 95 % bound of the p99 of one-row requests; ``latency_batch_p99_ms`` the same of
    requests of ``latency_batch_rows``. ``latency_p99_ratio``: how many times the champion's p99 the candidate's may
    be, both measured in turn, on the upper bound too. ``memory_megabytes``: resident in the server under these
    requests; ``load_seconds``: from the model's files to its first answer.
    ``unscorable_champion``: what it means for the regression gate when the champion's inputs are gone.
    """

    metrics: Annotated[list[MetricRule], Meta(min_length=1)]
    regression: Annotated[list[RegressionRule], Meta(min_length=1)]
    latency_p99_ms: Positive
    size_megabytes: Positive
    latency_p99_ratio: Annotated[float, Meta(ge=1)] | None = None
    latency_batch_rows: Annotated[int, Meta(ge=2, le=1000)] = 64
    latency_batch_p99_ms: Positive | None = None
    memory_megabytes: Positive | None = None
    load_seconds: Positive | None = None
    unscorable_champion: Literal["pass", "fail"] = "fail"
    waivers: list[Waiver] = []
