"""The evidence after every check, computed again from the journal: the numbers the strategy decided on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from interlock.config import Metric
from interlock.report.run import RolloutReport
from interlock.rollout import evidence
from interlock.rollout.counts import Check, Sample
from interlock.rollout.evidence import Floats, Strata
from interlock.rollout.journal import Checked, Entry, Judged
from interlock.rollout.strategy import Action, harm, noninferiority, scale

Priors = dict[str, Sample]
Means = tuple[float, float, float | None, float | None]

POINTS = 200  # a picture shows no more, and the evidence is computed afresh for each


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the evidence when one check had been counted.

    ``harm`` and ``sound`` are ln E of "worse" (all metrics combined) and of "not worse than ``margin``" (the
    least certain business metric). Means are of the first business metric, each check weighted alike in both
    arms, so that a change of traffic cannot look like a change of the model. ``low`` and ``high`` bound the
    difference candidate minus champion at all times; None before the evidence begins.
    """

    seconds: float
    check: Check
    margin: float
    harm: float
    sound: float
    champion: float
    candidate: float
    low: float | None
    high: float | None


def compared(entries: Sequence[Entry]) -> list[tuple[float, Check]]:
    """The checks that compare both arms, with the time they were written."""
    counted = [(e.time, e.event.check) for e in entries if isinstance(e.event, Checked)]
    return [(time, check) for time, check in counted if check.weight < 100]


def trajectory(rollout: RolloutReport) -> list[Point]:
    """One point per check, oldest first, about ``POINTS`` of them and always those that a decision followed.

    Empty for a first deployment, and where there is no business metric.
    """
    counted = compared(rollout.entries)
    business = [metric for metric in rollout.metrics if metric.role == "business"]
    if not counted or not business or rollout.start is None:
        return []
    checks, prior = [check for _, check in counted], rollout.start.prior
    margins = {step.weight: step.margin for step in rollout.strategy.steps}
    found = []
    for k in _kept(rollout.entries, len(checks)):
        so_far, (time, check) = checks[: k + 1], counted[k]
        champion, candidate, low, high = means(business[0], so_far, prior, rollout.strategy.alpha)
        point = Point(
            seconds=time - rollout.began,
            check=check,
            margin=margins.get(check.weight, math.nan),
            harm=combined_harm(rollout.metrics, so_far, prior, rollout.strategy.alpha),
            sound=_weakest(business, so_far, margins.get(check.weight), prior, rollout.strategy.alpha),
            champion=champion,
            candidate=candidate,
            low=low,
            high=high,
        )
        found.append(point)
    return found


def _kept(entries: Sequence[Entry], count: int) -> list[int]:
    """Indices of the checks to show: evenly spaced, and the last one before every decision."""
    every = math.ceil(count / POINTS)
    kept, index = {*range(0, count, every), count - 1}, -1
    for entry in entries:
        if isinstance(entry.event, Checked) and entry.event.check.weight < 100:
            index += 1
        elif isinstance(entry.event, Judged) and entry.event.action != Action.HOLD and index >= 0:
            kept.add(index)
    return sorted(kept)


def combined_harm(metrics: Sequence[Metric], checks: Sequence[Check], prior: Priors, alpha: float) -> float:
    """ln of the weighted mean of the metrics' e-values against "not worse", over ``checks``."""
    log_e = harm(metrics, checks, prior, alpha)
    return evidence.combined(list(log_e.values()), [metric.weight for metric in metrics])


def _weakest(
    business: Sequence[Metric], checks: Sequence[Check], margin: float | None, prior: Priors, alpha: float
) -> float:
    """ln E of "not worse than ``margin``" of the least certain metric; 0 at a weight that is no step's."""
    return 0.0 if margin is None else min(noninferiority(business, checks, margin, prior, alpha).values())


def means(metric: Metric, checks: Sequence[Check], prior: Priors, alpha: float) -> Means:
    """Champion's and candidate's mean over ``checks``, bounds of their difference; NaN without values."""
    s = evidence.strata(checks, metric.name)
    if len(s.n_c) == 0:
        return math.nan, math.nan, None, None
    share = _comparable_share(s)
    before = scale(metric, checks, prior)
    bound = evidence.mean_bound(s, before, alpha) if before else None
    low, high = (bound.low, bound.high) if bound else (None, None)
    return float((share * s.total_b / s.n_b).sum()), float((share * s.total_c / s.n_c).sum()), low, high


def _comparable_share(s: Strata) -> Floats:
    """What each check weighs in a comparison: as much as its smaller arm can say, 1 in all."""
    information: Floats = s.n_c * s.n_b / (s.n_c + s.n_b)
    total = float(information.sum())
    return information / total
