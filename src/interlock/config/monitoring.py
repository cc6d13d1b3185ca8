"""Config of monitoring: what is watched, how far it may move, and what happens then."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from interlock.config.section import Count, Fraction, Name, Positive, Section

Action = Literal["alert", "roll back", "train", "hold"]
CheckName = Literal[
    "skew", "drift", "score", "rules", "nulls", "quality", "calibration", "business", "holdback", "latency", "errors",
    "traffic", "staleness", "missing",
]  # fmt: skip
ALERT: list[Action] = ["alert"]


class Range(Section, frozen=True, kw_only=True):
    """A rule on requests: ``feature`` lies in [``least``, ``most``] in all but ``at_most`` of the rows that have it."""

    feature: Name
    least: float | None = None
    most: float | None = None
    at_most: Annotated[float, Meta(ge=0, lt=1)] = 0.0


class Webhook(Section, frozen=True, kw_only=True):
    """Who is told of an alert: a POST of JSON to ``url``.

    ``secret`` signs it (HMAC-SHA256): a file (absolute, or ~/…) or a version of a Secret Manager secret
    (``projects/…/secrets/…/versions/…``); '' signs nothing.
    """

    url: Annotated[str, Meta(pattern=r"^https?://")]
    secret: Annotated[str, Meta(pattern=r"^$|^(/|~/)|^projects/[^/]+/secrets/[^/]+/versions/[^/]+$")] = ""
    attempts: Annotated[int, Meta(ge=1, le=10)] = 4
    timeout_seconds: Positive = 5.0


class Retraining(Section, frozen=True, kw_only=True):
    """Which rows a training is submitted with: ``start`` <= time < ``end`` (ISO dates, '' open), or the last ``days``.

    Not again within ``every_hours`` of the last one that monitoring submitted. ``deploy``: what passes every gate is
    deployed by the config's strategy.
    """

    start: str = ""
    end: str = ""
    days: Count | None = None
    every_hours: Annotated[float, Meta(ge=0)] = 24.0
    deploy: bool = True


class Monitoring(Section, frozen=True, kw_only=True):
    """Live traffic of the production version against what it was trained and evaluated on, window by window.

    ``hours``: length of a window. Fewer than ``minimum_rows`` requests in it are missing data, never good news.
    ``false_alarm``: chance of any alarm in a window when nothing changed, shared by all checks.

    ``effect``: Jensen-Shannon divergence (bits) of a feature or of the score that never is an alarm; above it chance
    decides, as in data validation. ``drift_limit``: one that always is; None for none. Give it where windows mix all
    hours and days, as a replay does: a single day may differ much from all days and be like any other day.
    ``baseline_windows``: compare also with as many windows before, 0 for not.

    ``ranges`` are rules on requests. ``null_margin``: by how much the share of null, and of unknown values, may exceed
    the training rows'. ``duplicate_share``: of requests that repeat a key.

    ``margin``: by how much (relative) quality and business metric may be worse than the evaluation said.
    ``quality``: metrics that are measured on delayed labels, for all rows and per slice with ``minimum_rows``.
    ``calibration_error``: mean distance of scores from observed shares beyond the evaluation's.
    ``slow_share`` of answers may take longer than ``slow_ms`` (None: not asked, as where the log has no latency, which
    Vertex AI's own has not); ``error_share`` of requests may fail.
    ``traffic_share``: distance of the split seen from the split set that does not matter.

    ``outcome_hours``: age of the newest outcome (None: the window, and the time outcomes may take); ``model_days``:
    age of the model, None for any.

    ``actions``: what an alarm of a check leads to: ``alert``, ``roll back``, ``train``; ``hold`` only notes it.
    ``missing`` is any check that has no data. ``cloud_metric`` writes each verdict to Cloud Monitoring;
    ``vertex_monitor`` also creates a Vertex Model Monitoring job.
    """

    hours: Positive = 24.0
    minimum_rows: Count = 1000
    false_alarm: Annotated[float, Meta(ge=0.001, le=0.2)] = 0.01
    drift_limit: Positive | None = None
    effect: Positive = 0.005
    baseline_windows: Annotated[int, Meta(ge=0, le=500)] = 0
    ranges: list[Range] = []
    null_margin: Fraction = 0.02
    duplicate_share: Fraction = 0.5
    margin: Fraction = 0.3
    quality: list[Literal["auc", "precision", "recall", "brier"]] = msgspec.field(default_factory=lambda: ["auc"])
    calibration_error: Fraction = 0.05
    slow_ms: Positive | None = 250.0
    slow_share: Fraction = 0.01
    error_share: Fraction = 0.01
    traffic_share: Fraction = 0.05
    outcome_hours: Positive | None = None
    model_days: Positive | None = None
    actions: dict[CheckName, list[Action]] = {}
    webhook: Webhook | None = None
    retraining: Retraining = Retraining()
    cloud_metric: bool = False
    vertex_monitor: bool = False

    def actions_of(self, check: str) -> list[Action]:
        """What an alarm of ``check`` leads to."""
        for name, actions in self.actions.items():
            if name == check:
                return actions
        return ALERT
