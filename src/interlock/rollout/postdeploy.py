"""Post-deploy evaluation: the promoted version against what the old one would have done with the same requests.

Cost is paired, row by row, by :mod:`interlock.rollout.rescoring`. Failures and slowness have no such twin: they
are compared with the champion's during the rollout, and only from 1 % of the requests on. The k-th look spends
alpha / (k (k + 1)), so looking often is paid for. A first deployment has no champion: it must answer the minimum
of requests nearly without errors.

What the world paid (conversion, amount, a counter that is better when higher) and sums by user have no such control
at all: they are judged after the promotion only where a holdback remains, by :func:`strategy.shown_worse`. The
verdict names every metric that was not judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from interlock.config import Metric, PostDeploy, Strategy
from interlock.contracts import Verdict, VerdictKind
from interlock.rollout import evidence
from interlock.rollout.counts import Check, Sample, nonsense, pooled
from interlock.rollout.rescoring import Paired

TOLERATED_SHARE = 0.01


def assess(
    strategy: Strategy,
    post_deploy: PostDeploy,
    metrics: Sequence[Metric],
    *,
    rollout: Sequence[Check],
    after: Sequence[Check],
    paired: Paired,
    first_deployment: bool,
    seconds: float,
    problem: str = "",
) -> tuple[str, Verdict]:
    """``passed``, ``failed``, ``inconclusive`` (past the deadline) or ``wait``, and why.

    ``rollout``: checks with both arms; ``after``: checks since the promotion; ``paired``: costs of both versions
    on the same rows since then; ``seconds``: since then.
    """
    requests = sum(check.candidate.requests for check in after)

    def verdict(kind: VerdictKind, metric: str, reason: str) -> Verdict:
        return Verdict(kind=kind, metric=metric, reason=reason, requests=requests, candidate_requests=requests)

    broken = problem or next((text for check in after if (text := nonsense(check))), "")
    if not broken and not first_deployment:
        for metric in metrics:
            p, limit = _p_worse(metric, post_deploy.margin, rollout, after, paired), _level(strategy, metrics, after)
            if p < limit:
                means, margin = _means(metric, rollout, after, paired), post_deploy.margin
                reason = f"{means}: worse than +{margin:.0%}, p {p:.1g} < {limit:.1g}"
                return "failed", verdict(VerdictKind.DEGRADED, metric.name, reason)
    n, minimum = _counted(after, first_deployment), post_deploy.minimum_requests
    what = "requests" if first_deployment else "requests with outcome"
    if not broken and n >= minimum:
        if first_deployment:
            failed = sum(check.candidate.failed for check in after)
            shown = f"{failed} of {n} requests failed, share {failed / n:.3g}"
            if failed / n > TOLERATED_SHARE:
                reason = f"{shown} > {TOLERATED_SHARE:g}"
                return "failed", verdict(VerdictKind.DEGRADED, "error", reason)
            return "passed", verdict(VerdictKind.HEALTHY, "error", f"{shown} <= {TOLERATED_SHARE:g}")
        judged = [metric for metric in metrics if _has_control(metric, after)]
        shown = "".join(f"{_means(m, rollout, after, paired)}; " for m in judged if m.role == "business")
        rest = ", ".join(metric.name for metric in metrics if metric not in judged)
        unjudged = f"; not judged without a holdback: {rest}" if rest and not strategy.holdback else ""
        reason = f"{shown}{n} {what} >= {minimum}, no metric shown worse than +{post_deploy.margin:.0%}{unjudged}"
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


def _p_worse(metric: Metric, margin: float, rollout: Sequence[Check], after: Sequence[Check], paired: Paired) -> float:
    """One-sided p-value of "not worse than the margin", at one look."""
    if metric.value == "cost":
        return _p_paired(paired, margin)
    if not _has_control(metric, after):
        return 1.0
    champion, candidate = _samples(metric, rollout, after)
    if champion.n == 0 or candidate.n == 0 or candidate.mean <= TOLERATED_SHARE:
        return 1.0
    return evidence.rate_tail(champion, candidate, margin)


def _has_control(metric: Metric, after: Sequence[Check]) -> bool:
    """Whether there is something to compare with: what the world paid last week is no control for this one."""
    if metric.value == "cost":
        return True
    return not (metric.is_mean or metric.up or any(check.users_since is not None for check in after))


def _p_paired(paired: Paired, margin: float) -> float:
    if paired.different < evidence.STARTS_AT:
        return 1.0  # the two hardly ever differ: nothing to tell them apart by
    error = math.sqrt(paired.gap_variance(margin) / paired.n)
    gap = paired.gap(margin)
    if error == 0:
        return 0.0 if gap > 0 else 1.0
    return math.erfc(gap / (error * math.sqrt(2))) / 2


def _samples(metric: Metric, rollout: Sequence[Check], after: Sequence[Check]) -> tuple[Sample, Sample]:
    return pooled(list(rollout), metric.name)[0], pooled(list(after), metric.name)[1]


def _means(metric: Metric, rollout: Sequence[Check], after: Sequence[Check], paired: Paired) -> str:
    if metric.value == "cost":
        if paired.n == 0:
            return f"{metric.name}: no row with an outcome"
        mine, theirs = paired.candidate / paired.n, paired.champion / paired.n
        return f"{metric.name}: promoted {mine:.4g} vs {theirs:.4g} of the old version on the same {paired.n} requests"
    champion, candidate = _samples(metric, rollout, after)
    return f"{metric.name}: promoted {candidate.mean:.4g} vs champion during the rollout {champion.mean:.4g}"
