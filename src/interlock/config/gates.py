"""Config of the five gates."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from msgspec import Meta

from interlock.config.section import Count, Positive, Section

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


LOWER_IS_BETTER = ("log_loss", "brier", "calibration_error", "cost")


OfflineMetric = Literal[
    "auc", "average_precision", "log_loss", "brier", "calibration_error", "precision", "recall", "f1", "cost"
]


PairedMetric = Literal["auc", "log_loss", "brier", "cost"]


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

    metric: OfflineMetric
    at_least: float | None = None
    at_most: float | None = None


class RegressionRule(Rule, frozen=True, kw_only=True):
    """Not worse than the champion on the same rows by more than ``within`` (relative to the champion)."""

    metric: PairedMetric
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

    ``latency_p99_ratio``: how many times the champion's p99 the candidate's may be, both measured in turn.
    ``unscorable_champion``: what it means for the regression gate when the champion's inputs are gone.
    """

    metrics: Annotated[list[MetricRule], Meta(min_length=1)]
    regression: Annotated[list[RegressionRule], Meta(min_length=1)]
    latency_p99_ms: Positive
    size_megabytes: Positive
    latency_p99_ratio: Annotated[float, Meta(ge=1)] | None = None
    unscorable_champion: Literal["pass", "fail"] = "fail"
    waivers: list[Waiver] = []
