"""Counts at the edge: an arm without requests, everything failed, huge totals, ties, a clock that goes back."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.config import CanaryStep, Metric, Strategy
from interlock.rollout import evidence
from interlock.rollout.counts import Arm, Check, Sample, nonsense
from interlock.rollout.journal import Checked, Entry, Started
from interlock.rollout.pairs import paired_harm, paired_noninferiority
from interlock.rollout.state import fold
from interlock.rollout.strategy import Progress, decide, harm, noninferiority

METRICS = [
    Metric(name="cost", value="cost", role="business", weight=4, cap=5.0),
    Metric(name="revenue", value="amount", role="business", cap=80.0),
    Metric(name="conversion", value="conversion", role="business"),
    Metric(name="errors", value="error", role="guardrail"),
]
STRATEGY = Strategy(steps=[CanaryStep(weight=w, margin=0.3) for w in (1, 50, 99)], maximum_excess_cost=1e9)


@st.composite
def arms(draw):
    """Any arm that can be: from nobody to a hundred thousand, from nothing wrong to nothing right."""
    n = draw(st.sampled_from([0, 1, 2, 57, 4000, 100_000]) | st.integers(0, 5000))
    shares = st.sampled_from([0.0, 1.0]) | st.floats(0, 1)
    failed = round(n * draw(shares))
    known = round((n - failed) * draw(shares))
    misses = round(known * draw(shares))
    alarms = round((known - misses) * draw(shares))
    paid, good = round(known * draw(shares)), round(known * draw(shares))
    each = draw(st.floats(0.01, 80))
    return Arm(
        requests=n,
        answered=n - failed,
        failed=failed,
        with_outcome=known,
        samples={
            "cost": Sample(
                n=known,
                nonzero=misses + alarms,
                total=5.0 * misses + alarms,
                squares=25.0 * misses + alarms,
                levels={1.0: alarms, 5.0: misses},
            ),
            "revenue": Sample(n=known, nonzero=paid, total=paid * each, squares=paid * each**2),
            "conversion": Sample(n=known, nonzero=known - good, total=known - good, squares=known - good),
            "errors": Sample(n=n, nonzero=failed, total=failed, squares=failed),
        },
    )


@st.composite
def rollouts(draw):
    weights = draw(st.lists(st.sampled_from([1, 50, 99]), max_size=6).map(sorted))
    return [
        Check(after=k, until=k + 1, weight=w, champion=draw(arms()), candidate=draw(arms()))
        for k, w in enumerate(weights)
    ]


@settings(max_examples=50, deadline=None)
@given(checks=rollouts(), seconds=st.floats(-1e6, 1e6))
def test_every_count_that_can_be_gets_a_verdict(checks, seconds):
    assert not any(nonsense(check) for check in checks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a division by nothing, an overflow
        worse = harm(METRICS, checks, {}, STRATEGY.alpha)
        sound = noninferiority(METRICS, checks, 0.3, {}, STRATEGY.alpha)
        decision = decide(STRATEGY, METRICS, checks, Progress(step=0, seconds_in_step=seconds, candidate_requests=10))
    assert all(math.isfinite(value) for value in (*worse.values(), *sound.values()))
    assert math.isfinite(evidence.combined(list(worse.values()), [metric.weight for metric in METRICS]))
    assert decision.verdict.reason


@settings(max_examples=40, deadline=None)
@given(checks=rollouts())
def test_a_check_with_one_arm_only_changes_nothing(checks):
    """At 0 % or 100 % there is nothing to compare with: such a check is evidence of nothing."""
    alone = [Check(after=9, until=10, weight=99, champion=Arm(), candidate=check.candidate) for check in checks[:1]]
    for metric in METRICS[1:]:
        before = harm([metric], checks, {}, 0.05), noninferiority([metric], checks, 0.3, {}, 0.05)
        after = harm([metric], [*checks, *alone], {}, 0.05), noninferiority([metric], [*checks, *alone], 0.3, {}, 0.05)
        assert before == after


def test_evidence_far_beyond_any_float_is_kept_in_logarithms():
    check = Check(
        after=0,
        until=1,
        weight=50,
        champion=Arm(samples={"errors": Sample(n=500_000)}),
        candidate=Arm(samples={"errors": Sample(n=500_000, nonzero=400_000, total=400_000, squares=400_000)}),
    )
    log_e = harm(METRICS[3:], [check] * 3, {}, 0.05)["errors"]
    assert 1000 < log_e < math.inf
    assert evidence.combined([log_e, 0.0], [1, 3]) == pytest.approx(log_e + math.log(0.25))


def test_an_e_value_just_at_the_limit_decides():
    """Ville's bound holds for E >= 1/alpha: a tie is enough, on both sides."""
    errors = METRICS[3:]
    check = Check(
        after=0,
        until=1,
        weight=50,
        champion=Arm(requests=200, answered=200, samples={"errors": Sample(n=200)}),
        candidate=Arm(requests=200, answered=200, samples={"errors": Sample(n=200, nonzero=7, total=7, squares=7)}),
    )
    e_value = math.exp(harm(errors, [check], {}, 0.05)["errors"])
    progress = Progress(step=0, seconds_in_step=0, candidate_requests=200)
    for alpha, action in ((1 / e_value * (1 + 1e-12), "roll back"), (1 / e_value * (1 - 1e-9), "hold")):
        strategy = Strategy(steps=[CanaryStep(weight=50, margin=0.3)], alpha=alpha)
        assert decide(strategy, errors, [check], progress).action == action


@settings(max_examples=40, deadline=None)
@given(
    costs=st.dictionaries(
        st.tuples(st.sampled_from([0.0, 1.0, 5.0, 900.0]), st.sampled_from([0.0, 1.0, 5.0, 900.0])),
        st.integers(0, 10**7),
    )
)
def test_pairs_have_finite_evidence_and_never_both_verdicts(costs):
    worse, sound = paired_harm(costs, 5.0), paired_noninferiority(costs, 5.0, 0.05)
    assert math.isfinite(worse)
    assert math.isfinite(sound)
    assert not (worse >= math.log(20) and sound >= math.log(20) and sum(costs.values()) < 200)


@settings(max_examples=40, deadline=None)
@given(order=st.lists(st.integers(0, 9), max_size=30))
def test_checks_of_several_processes_are_disjoint_after_folding(order):
    """Whatever is written twice, or overlaps what is counted, counts once."""
    started = Started(
        endpoint="e",
        champion_version="1",
        candidate_version="2",
        champion_deployed="b",
        candidate_deployed="c",
        traffic={"b": 100},
    )
    events = [started] + [
        Checked(check=Check(after=10 * k, until=10 * k + 10, weight=50, champion=Arm(), candidate=Arm())) for k in order
    ]
    checks = fold([Entry(number=k, time=0.0, event=event) for k, event in enumerate(events)]).checks
    assert all(one.until <= two.after for one, two in itertools.pairwise(checks))


def test_a_clock_that_goes_back_ends_nothing_early_and_promotes_nothing_unproven(world):
    world.behaviour["c"].false_negative = 0.5
    world.begin()
    world.process().shift(0)
    world.clock.sleep(30)
    world.clock.time -= 45.0031  # the odd part keeps the names of requests apart
    assert world.process().judge(0) == "rolled back"
    assert world.agrees()


def test_a_mean_with_one_value_only_has_no_scale_and_no_verdict():
    same = Sample(n=1000, nonzero=1000, total=5000.0, squares=25_000.0, levels={5.0: 1000})
    check = Check(
        after=0, until=1, weight=50, champion=Arm(samples={"cost": same}), candidate=Arm(samples={"cost": same})
    )
    assert evidence.prior_of(same) is None
    assert noninferiority(METRICS[:1], [check], 0.3, {}, 0.05) == {"cost": 0.0}
    assert np.isfinite(harm(METRICS[:1], [check], {}, 0.05)["cost"])
