"""Decisions as a table, and the property that matters: never "continue" without evidence."""

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.config import CanaryStep, Metric, Strategy
from interlock.rollout import evidence
from interlock.rollout.counts import Arm, Check, Sample, nonsense
from interlock.rollout.strategy import Action, Progress, decide

METRICS = [
    Metric(name="cost", value="cost", role="business", weight=4, cap=5.0),
    Metric(name="errors", value="error", role="guardrail"),
]
STRATEGY = Strategy(
    steps=[CanaryStep(weight=20, margin=0.5, minimum_requests=1000, deadline_seconds=600)],
    maximum_candidate_requests=50_000,
)


def arm(n, *, misses=0.04, alarms=0.1, errors=0, outcome_share=1.0):
    known = round((n - errors) * outcome_share)
    fn, fp = round(known * misses), round(known * alarms)
    return Arm(
        requests=n,
        answered=n - errors,
        failed=errors,
        with_outcome=known,
        samples={
            "cost": Sample(
                n=known, nonzero=fn + fp, total=fp + 5 * fn, squares=fp + 25 * fn, levels={1.0: fp, 5.0: fn}
            ),
            "errors": Sample(n=n, nonzero=errors, total=errors, squares=errors),
        },
    )


def check(champion, candidate, *, weight=20, after=0):
    return Check(after=after, until=after + 1000, weight=weight, champion=champion, candidate=candidate)


def progress(seconds=10.0, candidate=100, problem=""):
    return Progress(step=0, seconds_in_step=seconds, candidate_requests=candidate, problem=problem)


EQUAL = [check(arm(800), arm(200), after=1000 * i) for i in range(12)]
CASES = {
    "equal and enough": (EQUAL, progress(), "continue", "healthy"),
    "equal and too early": (EQUAL[:2], progress(), "hold", "inconclusive"),
    "no checks": ([], progress(), "hold", "inconclusive"),
    "no checks at the deadline": ([], progress(600), "roll back", "inconclusive"),
    "worse": (
        [check(arm(800), arm(200, misses=0.12), after=1000 * i) for i in range(12)],
        progress(),
        "roll back",
        "degraded",
    ),
    "worse beside a broken source": (
        [check(arm(800), arm(200, misses=0.12), after=1000 * i) for i in range(12)],
        progress(problem="warehouse cannot be read"),
        "roll back",
        "degraded",
    ),
    "failing at once": ([check(arm(80), arm(20, errors=15))], progress(), "roll back", "degraded"),
    "broken source": (EQUAL, progress(problem="warehouse cannot be read"), "hold", "error"),
    "broken source at the deadline": (EQUAL, progress(600, problem="x"), "roll back", "error"),
    "split not as set": (
        [check(arm(600), arm(400), after=1000 * i) for i in range(12)],
        progress(),
        "hold",
        "error",
    ),
    "outcomes missing": (
        [check(arm(800, outcome_share=0.7), arm(200, outcome_share=0.7))],
        progress(),
        "hold",
        "inconclusive",
    ),
    "outcomes missing in one arm": (
        [check(arm(800), arm(200, outcome_share=0.85), after=1000 * i) for i in range(12)],
        progress(),
        "hold",
        "inconclusive",
    ),
    "too many candidate requests": (EQUAL[:2], progress(candidate=50_001), "roll back", "inconclusive"),
}


@pytest.mark.parametrize("case", CASES)
def test_decision(case):
    checks, where, action, kind = CASES[case]
    decision = decide(STRATEGY, METRICS, checks, where)
    assert (decision.action, decision.verdict.kind) == (action, kind), decision.verdict.reason


def test_reason_is_the_inequality():
    healthy = decide(STRATEGY, METRICS, EQUAL, progress()).verdict.reason
    assert healthy.startswith("cost: candidate 0.3 vs champion 0.3; not worse than +50%: e-value ")
    assert healthy.endswith(">= 20")
    worse = [check(arm(800), arm(200, misses=0.12), after=1000 * i) for i in range(12)]
    assert decide(STRATEGY, METRICS, worse, progress()).verdict.reason.endswith(">= 20: worse")


def test_amounts_that_nobody_reports_are_said_to_be_missing():
    sold = Metric(name="sold", value="amount", role="business", cap=5.0)
    reason = decide(STRATEGY, [sold], EQUAL, progress(600)).verdict.reason
    assert "sold: no outcome has an amount yet; report it in the column amount of the table outcomes" in reason
    assert "nan" not in reason


def test_minimum_requests_hold_back_evidence_that_is_there():
    steps = [msgspec.structs.replace(STRATEGY.steps[0], minimum_requests=20_000)]
    strict = Strategy(steps=steps)
    decision = decide(strict, METRICS, EQUAL, progress())
    assert decision.action == "hold"
    assert "12000 requests in this step < 20000" in decision.verdict.reason


def test_requests_of_an_earlier_step_do_not_count_for_this_one():
    earlier = [check(arm(950), arm(50), weight=5, after=1000 * i) for i in range(60)]
    first = check(arm(400), arm(100), after=60_000)  # by itself too few, and shown sound by those before
    decision = decide(STRATEGY, METRICS, [*earlier, first], progress())
    assert decision.action == "hold"
    assert "but 500 requests in this step < 1000" in decision.verdict.reason


def test_guardrail_need_not_be_shown_noninferior():
    checks = [check(arm(800, errors=8), arm(200, errors=2), after=1000 * i) for i in range(12)]
    assert decide(STRATEGY, METRICS, checks, progress()).action == "continue"


def test_hold_at_the_deadline_where_configured():
    patient = Strategy(steps=STRATEGY.steps, on_deadline="hold")
    assert decide(patient, METRICS, EQUAL[:1], progress(10_000)).action == "hold"


@pytest.mark.parametrize(
    "broken",
    [
        Arm(requests=-1),
        Arm(requests=10, answered=11),
        Arm(requests=10, answered=5, with_outcome=6),
        Arm(requests=10, answered=10, samples={"cost": Sample(n=5, nonzero=6)}),
        Arm(requests=10, answered=10, samples={"cost": Sample(n=5, nonzero=1, total=math.nan)}),
        Arm(requests=10, answered=10, samples={"cost": Sample(n=5, nonzero=1, total=-1.0)}),
    ],
)
def test_impossible_counts_are_an_error(broken):
    checks = [*EQUAL, check(arm(800), broken, after=12_000)]
    assert nonsense(checks[-1])
    decision = decide(STRATEGY, METRICS, checks, progress())
    assert (decision.action, decision.verdict.kind) == (Action.HOLD, "error")


arms = st.builds(
    arm,
    st.integers(0, 3000),
    misses=st.floats(0, 0.5),
    alarms=st.floats(0, 0.5),
    outcome_share=st.floats(0, 1),
)


@settings(max_examples=300, deadline=None)
@given(
    pairs=st.lists(st.tuples(arms, arms), max_size=8),
    problem=st.sampled_from(["", "", "broken"]),
    seconds=st.floats(0, 2000),
    exposed=st.integers(0, 100_000),
)
def test_never_continues_without_evidence(pairs, problem, seconds, exposed):
    checks = [check(b, c, after=1000 * i) for i, (b, c) in enumerate(pairs)]
    decision = decide(STRATEGY, METRICS, checks, progress(seconds, exposed, problem))
    if decision.action is not Action.CONTINUE:
        assert decision.verdict.kind != "healthy"
        return
    s = evidence.strata(checks, "cost")
    prior = evidence.prior_of(sum((c.champion.sample("cost") for c in checks), Sample()))
    assert prior is not None
    assert not problem
    assert sum(c.requests for c in checks) >= 1000
    assert (s.total_c.sum() / s.n_c.sum()) < 1.5 * max(s.total_b / s.n_b)
    for side in ("champion", "candidate"):
        answered = sum(getattr(c, side).answered for c in checks)
        assert sum(getattr(c, side).with_outcome for c in checks) >= 0.8 * answered > 0
