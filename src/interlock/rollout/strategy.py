"""What to do next, from the evidence alone: a pure function, so that a decision can be replayed.

::

                  harm shown (E >= 1/alpha), in any state ------------------------> roll back  (degraded)
                  excess cost > maximum_excess_cost ------------------------------> roll back  (degraded)
                      |
    checks ---> source broken, impossible counts, split not as set --> hold       (error)
                      |
                outcomes missing, or missing in one arm only --------> hold       (inconclusive)
                      |
                not worse than the margin (E >= 1/alpha),
                requests of the step >= minimum_requests ------------> continue   (healthy)
                    ... in a freeze, or not approved ----------------> hold       (healthy)
                      |
                otherwise -------------------------------------------> hold       (inconclusive)

    hold, and candidate requests > maximum_candidate_requests -------> roll back
    hold, and step older than deadline_seconds ----------------------> roll back, or hold (on_deadline)

Holding is the only answer to missing evidence, and it ends. "continue" is never reached without evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from interlock.config import CanaryStep, Metric, Strategy
from interlock.contracts import Verdict, VerdictKind
from interlock.rollout import evidence
from interlock.rollout.counts import Check, Sample, nonsense, pooled
from interlock.rollout.quality import missing_outcomes, split_mismatch


class Action(StrEnum):
    """What the controller does with the traffic."""

    CONTINUE = "continue"
    HOLD = "hold"
    ROLL_BACK = "roll back"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """An action and the verdict that explains it."""

    action: Action
    verdict: Verdict


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rollout stands: index of the step, its age, and all requests the candidate has had so far.

    ``problem``: why the last check could not be measured, '' if it could. ``waits_for``: what a step that is
    shown sound still has to wait for, '' if nothing.
    """

    step: int
    seconds_in_step: float
    candidate_requests: int
    problem: str = ""
    waits_for: str = ""
    in_freeze: bool = False


class _Finding(msgspec.Struct, frozen=True):
    action: Action
    kind: VerdictKind
    metric: str
    reason: str


def decide(
    strategy: Strategy,
    metrics: Sequence[Metric],
    checks: Sequence[Check],
    progress: Progress,
    prior: dict[str, Sample] | None = None,
) -> Decision:
    """The next action, from all ``checks`` of the rollout so far.

    ``prior``: the champion's counts from before the rollout, by metric; the first checks' where absent.
    """
    step = strategy.steps[progress.step]
    own = _of_step(step, checks)
    broken = next((text for check in checks if (text := nonsense(check))), "")
    finding = (
        (None if broken else _damage(strategy, metrics, checks, prior or {}))
        or _broken_source(broken or progress.problem or split_mismatch(checks))
        or _missing_outcomes(strategy, own)
        or _noninferiority(strategy, progress.step, metrics, checks, prior or {})
    )
    if finding.action is Action.CONTINUE and progress.waits_for:
        finding = _waiting(strategy, step, progress, finding)
    elif finding.action is Action.HOLD:
        finding = _bounded(strategy, step, progress, finding)
    return _decision(finding, checks, progress.candidate_requests)


def shown_worse(
    strategy: Strategy, metrics: Sequence[Metric], checks: Sequence[Check], prior: dict[str, Sample]
) -> Decision | None:
    """The decision to roll back, where ``checks`` show harm; else None. For a holdback: there is no step to judge."""
    if any(nonsense(check) for check in checks):
        return None
    finding = _harm(strategy, metrics, checks, prior)
    return _decision(finding, checks, sum(check.candidate.requests for check in checks)) if finding else None


def shown_damage(
    strategy: Strategy, metrics: Sequence[Metric], checks: Sequence[Check], prior: dict[str, Sample]
) -> Decision | None:
    """The decision to roll back a candidate that has passed its step and waits for the next; else None.

    Its deadline is over, and what was shown once need not be shown again: only harm, or its cost, ends the wait.
    """
    if any(nonsense(check) for check in checks):
        return None
    finding = _damage(strategy, metrics, checks, prior)
    return _decision(finding, checks, sum(check.candidate.requests for check in checks)) if finding else None


def _damage(
    strategy: Strategy, metrics: Sequence[Metric], checks: Sequence[Check], prior: dict[str, Sample]
) -> _Finding | None:
    return _harm(strategy, metrics, checks, prior) or _costly(strategy, metrics, checks)


def _decision(finding: _Finding, checks: Sequence[Check], candidate_requests: int) -> Decision:
    return Decision(
        action=finding.action,
        verdict=Verdict(
            kind=finding.kind,
            metric=finding.metric,
            reason=finding.reason,
            requests=sum(check.requests for check in checks),
            candidate_requests=candidate_requests,
        ),
    )


def harm(
    metrics: Sequence[Metric], checks: Sequence[Check], prior: dict[str, Sample], alpha: float
) -> dict[str, float]:
    """ln E of "worse" by metric, over all checks; 0 where there is no evidence yet."""
    return {metric.name: _log_harm(metric, checks, prior, alpha) for metric in metrics}


def _harm(
    strategy: Strategy, metrics: Sequence[Metric], checks: Sequence[Check], prior: dict[str, Sample]
) -> _Finding | None:
    log_e = harm(metrics, checks, prior, strategy.alpha)
    weights = [metric.weight for metric in metrics]
    total = evidence.combined(list(log_e.values()), weights)
    if total < -math.log(strategy.alpha):
        return None
    worst = max(metrics, key=lambda metric: log_e[metric.name] + math.log(metric.weight))
    e_value = _number(total)
    share = "" if len(metrics) == 1 else f" ({worst.name} alone {_number(log_e[worst.name])})"
    reason = f"{_means(worst, checks)}, e-value {e_value}{share} >= {1 / strategy.alpha:g}: worse"
    return _Finding(Action.ROLL_BACK, VerdictKind.DEGRADED, worst.name, reason)


def noninferiority(
    metrics: Sequence[Metric], checks: Sequence[Check], margin: float, prior: dict[str, Sample], alpha: float
) -> dict[str, float]:
    """ln E of "not worse than ``margin``", or than the metric's own, over all checks; 0 where there is none yet."""
    return {metric.name: _log_noninferiority(metric, checks, margin, prior, alpha) for metric in metrics}


def _noninferiority(
    strategy: Strategy,
    index: int,
    metrics: Sequence[Metric],
    checks: Sequence[Check],
    prior: dict[str, Sample],
) -> _Finding:
    """Every business metric must be shown not worse than the margin; the least certain one speaks."""
    step = strategy.steps[index]
    business = [metric for metric in metrics if metric.role == "business"]
    if not business:
        return _Finding(Action.HOLD, VerdictKind.ERROR, "", "no metric has role business: nothing can be promoted")
    log_e = noninferiority(business, checks, step.margin, prior, strategy.alpha)
    margin = {m.name: step.margin if m.margin is None else m.margin for m in business}
    weakest = min(business, key=lambda metric: log_e[metric.name])
    limit, requests = 1 / strategy.alpha, sum(check.requests for check in _of_step(step, checks))
    shown = log_e[weakest.name] >= math.log(limit)
    text = (
        f"{_means(weakest, checks)}; not worse than {'-' if weakest.up else '+'}{margin[weakest.name]:.0%}: "
        f"e-value {_number(log_e[weakest.name])} {'>=' if shown else '<'} {limit:g}"
    )
    if shown and requests >= step.minimum_requests:
        return _Finding(Action.CONTINUE, VerdictKind.HEALTHY, weakest.name, text)
    if shown:
        text += f", but {requests} requests in this step < {step.minimum_requests}"
    return _Finding(Action.HOLD, VerdictKind.INCONCLUSIVE, weakest.name, text)


def _of_step(step: CanaryStep, checks: Sequence[Check]) -> list[Check]:
    """The step's own checks: no two steps have the same weight."""
    return [check for check in checks if check.weight == step.weight]


def _broken_source(problem: str) -> _Finding | None:
    return _Finding(Action.HOLD, VerdictKind.ERROR, "", problem) if problem else None


def _missing_outcomes(strategy: Strategy, own: Sequence[Check]) -> _Finding | None:
    reason = missing_outcomes(strategy.minimum_outcome_share, own)
    return _Finding(Action.HOLD, VerdictKind.INCONCLUSIVE, "outcome_share", reason) if reason else None


def _costly(strategy: Strategy, metrics: Sequence[Metric], checks: Sequence[Check]) -> _Finding | None:
    """The candidate has cost more than is allowed to be at risk, proven or not."""
    limit = strategy.maximum_excess_cost
    if limit is None:
        return None
    for metric in metrics:
        if metric.role != "business":
            continue
        s = evidence.strata(checks, metric.name)
        excess = float((s.total_c - s.n_c * s.total_b / s.n_b).sum()) * (-1 if _counts_good(metric, checks) else 1)
        if excess > limit:
            reason = f"{_means(metric, checks)}: excess cost {excess:.4g} > {limit:g}, whatever the evidence"
            return _Finding(Action.ROLL_BACK, VerdictKind.DEGRADED, metric.name, reason)
    return None


def _waiting(strategy: Strategy, step: CanaryStep, progress: Progress, finding: _Finding) -> _Finding:
    """Shown sound, and still not let through: that ends too, but for a freeze, which ends by itself."""
    reason = f"{finding.reason}; waits for {progress.waits_for}"
    limit = step.deadline_seconds + strategy.approval_seconds
    if progress.in_freeze or progress.seconds_in_step < limit:
        return msgspec.structs.replace(finding, action=Action.HOLD, reason=reason)
    reason = f"{progress.seconds_in_step:.0f} s >= {limit:g} s; {reason}"
    return msgspec.structs.replace(finding, action=Action.ROLL_BACK, kind=VerdictKind.INCONCLUSIVE, reason=reason)


def _bounded(strategy: Strategy, step: CanaryStep, progress: Progress, finding: _Finding) -> _Finding:
    """A hold that has lasted, or cost, too much."""
    limit = strategy.maximum_candidate_requests
    if limit is not None and progress.candidate_requests > limit:
        reason = f"candidate requests {progress.candidate_requests} > {limit} without a verdict; {finding.reason}"
        return msgspec.structs.replace(finding, action=Action.ROLL_BACK, reason=reason)
    if progress.seconds_in_step >= step.deadline_seconds:
        action = Action.ROLL_BACK if strategy.on_deadline == "roll back" else Action.HOLD
        reason = f"{progress.seconds_in_step:.0f} s >= deadline {step.deadline_seconds:g} s; {finding.reason}"
        return msgspec.structs.replace(finding, action=action, reason=reason)
    return finding


def _log_harm(metric: Metric, checks: Sequence[Check], prior: dict[str, Sample], alpha: float) -> float:
    s = evidence.strata(checks, metric.name)
    if len(s.n_c) == 0:
        return 0.0
    if not _is_mean(metric, checks):
        return float(evidence.rate_harm(s)[-1])
    if metric.cap is not None and not metric.up and all(_has_levels(check, metric) for check in checks):
        before = prior.get(metric.name, Sample())
        return float(evidence.betting_harm(evidence.levels(checks, metric.name), metric.cap, before)[-1])
    known = scale(metric, checks, prior)
    return float(evidence.mean_harm(s, known, alpha, up=metric.up)[-1]) if known else 0.0


def _has_levels(check: Check, metric: Metric) -> bool:
    return all(arm.sample(metric.name).has_levels for arm in (check.champion, check.candidate))


def _log_noninferiority(
    metric: Metric, checks: Sequence[Check], margin: float, prior: dict[str, Sample], alpha: float
) -> float:
    s = evidence.strata(checks, metric.name)
    before = scale(metric, checks, prior)
    if len(s.n_c) == 0 or before is None:
        return 0.0
    margin = margin if metric.margin is None else metric.margin
    if _is_mean(metric, checks):
        return float(evidence.mean_noninferiority(s, margin, before, alpha, up=metric.up)[-1])
    return float(evidence.rate_noninferiority(s, margin, before.mean, up=metric.up)[-1])


def scale(metric: Metric, checks: Sequence[Check], prior: dict[str, Sample]) -> evidence.Prior | None:
    """From before the rollout, else from the champion's first checks; once it exists it never changes."""
    found = evidence.prior_of(prior.get(metric.name, Sample()))
    for number in range(1, len(checks) + 1):
        if found is not None:
            break
        found = evidence.prior_of(pooled(checks[:number], metric.name)[0])
    return found


def _is_mean(metric: Metric, checks: Sequence[Check]) -> bool:
    """Whether values are averaged: means of requests, and everything that is summed by user."""
    return metric.is_mean or any(check.users_since is not None for check in checks)


def _counts_good(metric: Metric, checks: Sequence[Check]) -> bool:
    """Whether its values are good ones. A rate counts bad requests, whatever its direction."""
    return metric.up and _is_mean(metric, checks)


def _means(metric: Metric, checks: Sequence[Check]) -> str:
    champion, candidate = pooled(checks, metric.name)
    if metric.value == "amount" and champion.n + candidate.n == 0:
        return f"{metric.name}: no outcome has an amount yet; report it in the column amount of the table outcomes"
    as_good = metric.up and not _is_mean(metric, checks)
    shown = [1 - arm.mean if as_good else arm.mean for arm in (candidate, champion)]
    per = " per user" if any(check.users_since is not None for check in checks) else ""
    return f"{metric.name}{per}: candidate {shown[0]:.4g} vs champion {shown[1]:.4g}"


def _number(log_e: float) -> str:
    return f"{math.exp(log_e):.3g}" if log_e < 20 else f"e^{log_e:.0f}"
