"""What the evaluation after the promotion can judge, and what it says it cannot."""

from interlock.config import CanaryStep, Metric, PostDeploy, Strategy
from interlock.contracts import VerdictKind
from interlock.rollout.counts import Arm, Check, Sample
from interlock.rollout.postdeploy import assess
from interlock.rollout.rescoring import Paired

METRICS = [
    Metric(name="cost", value="cost", role="business", cap=5.0),
    Metric(name="revenue", value="amount", role="business", cap=50.0),
    Metric(name="errors", value="error", role="guardrail"),
]
PAIRED = Paired(
    n=2000, candidate=400, champion=410, candidate_squares=800, champion_squares=820, products=790, different=40
)


def check(failed=0, **fields):
    arm = Arm(
        requests=2000 + failed,
        answered=2000,
        failed=failed,
        with_outcome=2000,
        users=2000 + failed,
        samples={"errors": Sample(n=2000 + failed, nonzero=failed, total=failed, squares=failed)},
    )
    return Check(after=0, until=4000, weight=100, champion=arm, candidate=arm, **fields)


def judged(after, holdback=0):
    strategy = Strategy(steps=[CanaryStep(weight=10, margin=0.3)], holdback=holdback)
    return assess(
        strategy,
        PostDeploy(minimum_requests=1000),
        METRICS,
        rollout=[check()],
        after=[after],
        paired=PAIRED,
        first_deployment=False,
        seconds=1.0,
    )


def test_revenue_without_a_holdback_is_named_as_not_judged():
    outcome, verdict = judged(check())
    assert outcome == "passed"
    assert "not judged without a holdback: revenue" in verdict.reason
    assert "cost: promoted 0.2 vs 0.205 of the old version on the same 2000 requests" in verdict.reason


def test_with_a_holdback_the_controller_judges_it():
    assert "not judged" not in judged(check(), holdback=5)[1].reason


def test_sums_by_user_are_not_compared_over_time():
    assert "not judged without a holdback: revenue, errors" in judged(check(users_since=0))[1].reason


def test_failures_are_judged_against_the_rollout():
    outcome, verdict = judged(check(failed=300))
    assert (outcome, verdict.kind, verdict.metric) == ("failed", VerdictKind.DEGRADED, "errors")
