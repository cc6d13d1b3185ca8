"""Post-deploy evaluation: the promoted version alone, against what the champion did during the rollout.

There is no control any more, so this is weaker than a canary: it finds a collapse, not a few percent, and a
change of the world looks like a change of the model. The k-th look spends alpha / (k (k + 1)), so looking
often is paid for. A first deployment has no champion: it must answer the minimum of requests nearly without
errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from interlock.config import Metric, PostDeploy, Strategy
from interlock.contracts import Verdict, VerdictKind
from interlock.rollout import evidence
from interlock.rollout.counts import Check, Sample, nonsense, pooled

FIRST_ERROR_SHARE = 0.01


def assess(
    strategy: Strategy,
    post_deploy: PostDeploy,
    metrics: Sequence[Metric],
    *,
    rollout: Sequence[Check],
    after: Sequence[Check],
    first_deployment: bool,
    seconds: float,
    problem: str = "",
) -> tuple[str, Verdict]:
    """``passed``, ``failed``, ``inconclusive`` (past the deadline) or ``wait``, and why.

    ``rollout``: checks with both arms; ``after``: checks since the promotion; ``seconds``: since then.
    """
    requests = sum(check.candidate.requests for check in after)

    def verdict(kind: VerdictKind, metric: str, reason: str) -> Verdict:
        return Verdict(kind=kind, metric=metric, reason=reason, requests=requests, candidate_requests=requests)

    broken = problem or next((text for check in after if (text := nonsense(check))), "")
    if not broken and not first_deployment:
        for metric in metrics:
            p, limit = _p_worse(metric, post_deploy.margin, rollout, after), _level(strategy, metrics, after)
            if p < limit:
                means, margin = _means(metric, rollout, after), post_deploy.margin
                reason = f"{means}: worse than +{margin:.0%}, p {p:.1g} < {limit:.1g}"
                return "failed", verdict(VerdictKind.DEGRADED, metric.name, reason)
    n, minimum = _counted(after, first_deployment), post_deploy.minimum_requests
    what = "requests" if first_deployment else "requests with outcome"
    if not broken and n >= minimum:
        if first_deployment:
            failed = sum(check.candidate.failed for check in after)
            shown = f"{failed} of {n} requests failed, share {failed / n:.3g}"
            if failed / n > FIRST_ERROR_SHARE:
                reason = f"{shown} > {FIRST_ERROR_SHARE:g}"
                return "failed", verdict(VerdictKind.DEGRADED, "error", reason)
            return "passed", verdict(VerdictKind.HEALTHY, "error", f"{shown} <= {FIRST_ERROR_SHARE:g}")
        reason = f"{n} {what} >= {minimum}, no metric shown worse than +{post_deploy.margin:.0%}"
        return "passed", verdict(VerdictKind.HEALTHY, "", reason)
    kind = VerdictKind.ERROR if broken else VerdictKind.INCONCLUSIVE
    reason = broken or f"{n} {what} < {minimum}"
    if seconds >= post_deploy.deadline_seconds:
        reason = f"{seconds:.0f} s >= deadline {post_deploy.deadline_seconds:g} s; {reason}"
        return "inconclusive", verdict(kind, "", reason)
    return "wait", verdict(kind, "", reason)


def _counted(after: Sequence[Check], first_deployment: bool) -> int:
    if first_deployment:
        return sum(check.candidate.answered + check.candidate.failed for check in after)
    return sum(check.candidate.with_outcome for check in after)


def _level(strategy: Strategy, metrics: Sequence[Metric], after: Sequence[Check]) -> float:
    look = max(len(after), 1)
    return strategy.alpha / (look * (look + 1)) / len(metrics)


def _p_worse(metric: Metric, margin: float, rollout: Sequence[Check], after: Sequence[Check]) -> float:
    """One-sided p-value of "not worse than the margin", at one look."""
    champion, candidate = _samples(metric, rollout, after)
    if champion.n == 0 or candidate.n == 0:
        return 1.0
    if metric.value != "cost":
        return evidence.rate_tail(champion, candidate, margin)
    expected = candidate.n * champion.nonzero / champion.n
    if min(champion.nonzero, expected) < evidence.STARTS_AT:
        return 1.0
    ratio = 1 + margin
    error = math.sqrt(candidate.variance / candidate.n + ratio**2 * champion.variance / champion.n)
    gap = candidate.mean - ratio * champion.mean
    if error == 0:
        return 0.0 if gap > 0 else 1.0
    return math.erfc(gap / (error * math.sqrt(2))) / 2


def _samples(metric: Metric, rollout: Sequence[Check], after: Sequence[Check]) -> tuple[Sample, Sample]:
    return pooled(list(rollout), metric.name)[0], pooled(list(after), metric.name)[1]


def _means(metric: Metric, rollout: Sequence[Check], after: Sequence[Check]) -> str:
    champion, candidate = _samples(metric, rollout, after)
    return f"{metric.name}: promoted {candidate.mean:.4g} vs champion during the rollout {champion.mean:.4g}"
