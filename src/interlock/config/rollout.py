"""Config of online metrics, rollout, post-deploy evaluation and serving."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from interlock.config.section import Count, Fraction, Name, Positive, Section


class Prometheus(Section, frozen=True, kw_only=True):
    """Two counters of one version, as PromQL; ``$deployed_model_id`` and ``$version`` stand for the arm's.

    ``url`` of a Prometheus server, or '' for Cloud Monitoring of the place's project, which speaks the same API.
    The difference of a counter between two moments is what a check counts, so give ``sum(…_total{…})``, no rate.
    """

    url: str = ""
    total: str
    counted: str
    timeout_seconds: Positive = 5.0


HIGHER_IS_BETTER = ("conversion", "amount")


class Metric(Section, frozen=True, kw_only=True):
    """A metric measured online for both versions.

    ``value``: ``cost`` (from the decision and its outcome), ``error`` (the request failed), ``slow`` (latency above
    ``slow_ms``), ``conversion`` (share of outcomes that are 1), ``amount`` (that column of the outcomes, for
    instance revenue) or ``counter`` (from ``prometheus``). ``cost`` and ``amount`` are means capped at ``cap``; the
    others are rates.
    ``conversion`` and ``amount`` are better when higher, the rest when lower; a counter says it by ``better``.
    ``margin`` overrides the step's. Alpha is shared among metrics by ``weight``.
    """

    name: Name
    value: Literal["cost", "error", "slow", "conversion", "amount", "counter"]
    role: Literal["business", "guardrail"]
    weight: Positive = 1.0
    cap: Positive | None = None
    slow_ms: Positive | None = None
    better: Literal["", "lower", "higher"] = ""
    margin: Fraction | None = None
    prometheus: Prometheus | None = None

    @property
    def up(self) -> bool:
        """Whether higher is better."""
        return self.better == "higher" or (self.better == "" and self.value in HIGHER_IS_BETTER)

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean of capped values; else it is a rate, counted as bad requests of all."""
        return self.value in ("cost", "amount")


class CanaryStep(Section, frozen=True, kw_only=True):
    """Stay at ``weight`` percent until the candidate is shown not worse than ``margin`` (relative), or worse.

    Not before ``minimum_requests`` to both versions together; ``deadline_seconds`` after the step began,
    unclear evidence becomes ``on_deadline``.
    """

    weight: Annotated[int, Meta(ge=1, le=99)]
    margin: Fraction
    minimum_requests: Count = 1000
    deadline_seconds: Positive = 600.0


Moment = Annotated[str, Meta(pattern=r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Freeze(Section, frozen=True, kw_only=True):
    """Every week from ``start`` until ``end`` (UTC, for instance ``Fri 16:00``) no candidate gets more traffic."""

    start: Moment
    end: Moment


class Shadow(Section, frozen=True, kw_only=True):
    """Before any step: the candidate answers logged requests again, on an endpoint of its own.

    ``sample`` percent of the production log, ``requests_per_second`` at most, once their outcomes have matured;
    ``history_rows`` of the log from before the shadow began count too. It ends when the candidate is shown not
    worse than ``margin`` on at least ``minimum_requests`` with outcome, or worse. Also worse: more failures than
    ``maximum_error_share``, more changed decisions than ``maximum_flip_share``.
    """

    margin: Fraction
    minimum_requests: Count = 1000
    deadline_seconds: Positive = 600.0
    requests_per_second: Positive = 50.0
    sample: Annotated[int, Meta(ge=1, le=100)] = 100
    history_rows: Annotated[int, Meta(ge=0)] = 0
    maximum_flip_share: Fraction | None = None
    maximum_error_share: Fraction = 0.01


class Strategy(Section, frozen=True, kw_only=True):
    """How a candidate takes over.

    ``kind``: ``canary`` by ``steps``; ``blue_green`` deploys and probes the candidate beside the champion and
    switches all traffic once; ``direct`` does so too and keeps nothing warm. ``shadow`` comes first where it is
    given. ``holdback`` percent stay with the champion after the promotion, as the control of what comes later.
    ``approval``: a person must agree before the promotion, or before every step; unanswered for
    ``approval_seconds`` the candidate goes back. Rollback is looked at while a rollout waits, for a person or in a
    ``freeze``, as at any other time.

    ``settling_seconds``: how long a new split takes to act; requests logged meanwhile are in no check.
    ``maximum_candidate_requests`` bounds a hold. ``maximum_excess_cost``: cost of the candidate beyond what the
    champion would have had on as many requests; beyond it the candidate goes back whatever the evidence.

    ``unit``: what the traffic is drawn by. Endpoints draw each request. Where a layer above keeps users on a version
    it is ``user``, and ``user_key`` names the field of an instance that tells them apart. ``stratify_by``: a field
    with few values that says much about the outcome; requests are then compared within each value, which needs fewer
    of them and stays exact for rates.

    ``alpha``: chance of rolling back a sound candidate, over the whole rollout however often it is looked at;
    the same for promoting one that is worse than the last margin. ``attribution_seconds``: age at which a
    request's outcome must have arrived.
    """

    kind: Literal["canary", "blue_green", "direct"] = "canary"
    steps: Annotated[list[CanaryStep], Meta(max_length=4)] = []
    alpha: Annotated[float, Meta(gt=0, le=0.2)] = 0.05
    attribution_seconds: Annotated[float, Meta(ge=0)] = 60.0
    check_seconds: Positive = 10.0
    maximum_candidate_requests: Count | None = None
    on_deadline: Literal["roll back", "hold"] = "roll back"
    minimum_outcome_share: Fraction = 0.8
    settling_seconds: Annotated[float, Meta(ge=0)] = 0.0
    maximum_excess_cost: Positive | None = None
    holdback: Annotated[int, Meta(ge=0, le=5)] = 0
    approval: Literal["none", "promotion", "every step"] = "none"
    approval_seconds: Positive = 86_400.0
    freeze: list[Freeze] = []
    shadow: Shadow | None = None
    unit: Literal["request", "user"] = "request"
    user_key: str = ""
    stratify_by: str = ""


class PostDeploy(Section, frozen=True, kw_only=True):
    """After promotion: wait for ``minimum_requests`` with outcomes, then compare with the rollout's champion.

    The old version stays deployed at least ``keep_warm_seconds`` after the promotion.
    """

    minimum_requests: Count = 1000
    deadline_seconds: Positive = 600.0
    margin: Fraction = 0.3
    keep_warm_seconds: Annotated[float, Meta(ge=0)] = 0.0


class Serving(Section, frozen=True, kw_only=True):
    """Where the model runs."""

    machine_type: str = "n1-standard-2"
    replicas: Count = 1
