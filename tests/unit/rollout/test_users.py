"""Users as the unit: sums by user in SQL against a plain loop, and what the request would get wrong."""

import json
from collections import defaultdict

import numpy as np
import pytest
import sqlalchemy as sa

from interlock.config import CanaryStep, Cost, Metric, Strategy
from interlock.contracts import VerdictKind
from interlock.errors import EvidenceError
from interlock.rollout.checks import Source
from interlock.rollout.counts import Arm, Check, Sample, disjoint, pooled
from interlock.rollout.journal import RolloutJournal, Started, TrafficIntended, TrafficSet
from interlock.rollout.quality import split_mismatch
from interlock.rollout.state import fold
from interlock.rollout.strategy import Action, Progress, decide, harm
from interlock.rollout.users import measure_users
from interlock.warehouse import open_warehouse, outcomes, request_response_log

COST = Cost(false_positive=1, false_negative=5)
METRICS = [
    Metric(name="cost", value="cost", role="business", cap=4.0),
    Metric(name="revenue", value="amount", role="business", cap=50.0),
    Metric(name="conversion", value="conversion", role="business"),
    Metric(name="errors", value="error", role="guardrail"),
    Metric(name="slow", value="slow", role="guardrail", slow_ms=100),
]


@pytest.fixture
def engine(tmp_path):
    engine = open_warehouse(f"sqlite:///{tmp_path / 'warehouse.db'}")
    yield engine
    engine.dispose()


def traffic(seed, users=300, sticky=True):
    """Rows of a log with their outcomes; each user asks one to nine times."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        arm = "c" if rng.random() < 0.3 else "b"
        for _ in range(rng.integers(1, 10)):
            rows.append(
                {
                    "user": f"u{user}",
                    "arm": arm if sticky else rng.choice(["b", "c"]),
                    "label": int(rng.random() < 0.3),
                    "outcome": int(rng.random() < 0.3) if rng.random() < 0.9 else None,
                    "amount": float(rng.exponential(30)) if rng.random() < 0.5 else None,
                    "status": 500 if rng.random() < 0.05 else 200,
                    "latency": float(rng.exponential(60)),
                }
            )
    return rows


def insert(engine, rows, first=0):
    logged = [
        {
            "endpoint": "e",
            "deployed_model_id": row["arm"],
            "model_version": "1",
            "logging_time": 0.0,
            "request_id": str(number),
            "request_payload": json.dumps([{"row_key": f"k{number}", "user": row["user"]} if row["user"] else {}]),
            "response_payload": json.dumps([{"label": row["label"]}]) if row["status"] == 200 else "[]",
            "status": row["status"],
            "latency_ms": row["latency"],
        }
        for number, row in enumerate(rows, first)
    ]
    known = [
        {"row_key": f"k{number}", "outcome": row["outcome"], "amount": row["amount"], "time": 0.0}
        for number, row in enumerate(rows, first)
        if row["outcome"] is not None
    ]
    with engine.begin() as connection:
        connection.execute(request_response_log.insert(), logged)
        connection.execute(outcomes.insert(), known)


def measured(engine, prior=None, until=1_000_000):
    return measure_users(
        engine, "e", ["b", "c"],
        user_key="user", since=0, until=until, metrics=METRICS, cost=COST, prior=prior or {},
    )  # fmt: skip


def pair_of(metric, row):
    """X and Y of one request, the slow way."""
    known = row["status"] == 200 and row["outcome"] is not None
    if metric == "errors":
        return 1.0, float(row["status"] == 500)
    if metric == "slow":
        return float(row["status"] == 200), float(row["status"] == 200 and row["latency"] > 100)
    if metric == "conversion":
        return float(known), float(known and row["outcome"] == 1)
    if metric == "revenue":
        has = known and row["amount"] is not None
        return float(has), min(row["amount"], 50.0) if has else 0.0
    if not known or row["label"] == row["outcome"]:
        return float(known), 0.0
    return 1.0, 1.0 if row["label"] else 4.0


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_sums_are_those_of_a_plain_loop(engine, metric):
    rows = traffic(1)
    insert(engine, rows)
    by_user = defaultdict(lambda: np.zeros(2))
    for row in rows:
        by_user[row["arm"], row["user"]] += pair_of(metric, row)
    ratio = 0.25
    shift = ratio * np.mean([x for x, _ in by_user.values() if x > 0])
    found = measured(engine, {metric: Sample(n=10, nonzero=10, total=25.0, squares=25.0, requests=100)})
    for arm in "bc":
        values = np.array([y - ratio * x + shift for (a, _), (x, y) in by_user.items() if a == arm and x > 0])
        sample = found[arm].samples[metric]
        assert sample.n == len(values)
        assert sample.nonzero == sum(y > 0 for (a, _), (x, y) in by_user.items() if a == arm and x > 0)
        assert sample.total == pytest.approx(values.sum(), abs=1e-6)
        assert sample.squares == pytest.approx((values**2).sum(), abs=1e-6)
        assert found[arm].users == len({u for a, u in by_user if a == arm})


def test_a_request_without_a_user_is_an_error(engine):
    insert(engine, [*traffic(2), {**traffic(2)[0], "user": None}])
    with pytest.raises(EvidenceError, match="1 requests carry no field 'user'"):
        measured(engine)


def test_users_on_both_versions_are_an_error(engine):
    insert(engine, traffic(3, sticky=False))
    with pytest.raises(EvidenceError, match="users were answered by both versions, more than 1%"):
        measured(engine)


def check(since, until, champion, candidate, weight=50):
    arms = [
        Arm(requests=s.n, answered=s.n, with_outcome=s.n, users=s.n, samples={"revenue": s})
        for s in (champion, candidate)
    ]
    return Check(after=until - 1, until=until, weight=weight, champion=arms[0], candidate=arms[1], users_since=since)


def test_of_one_step_only_the_last_sums_count():
    small, large = (
        Sample(n=10, nonzero=10, total=20.0, squares=50.0),
        Sample(n=30, nonzero=30, total=60.0, squares=150.0),
    )
    checks = [check(0, 100, small, small), check(0, 200, large, large), check(200, 300, small, small, weight=90)]
    assert disjoint(checks) == checks[1:]
    assert pooled(checks, "revenue")[0].n == 40


def test_the_split_is_judged_by_users():
    few, many = Sample(n=100, nonzero=50, total=1.0, squares=1.0), Sample(n=900, nonzero=50, total=1.0, squares=1.0)
    assert "candidate got 100 users, 500 expected" in split_mismatch([check(0, 100, many, few)])


def simulated(rng, looks, effect=0.0, by_user=True):
    """Checks of one step: users alike within themselves (ICC about .3), 200 new ones a look, half on the candidate."""
    arm = rng.random(200 * looks) < 0.5
    requests = 1 + rng.geometric(1 / 5, size=arm.size)
    own = rng.gamma(1.0, 1.0, size=arm.size) * (1 - effect * arm)
    checks = []
    sums = np.array([rng.poisson(mean, size=n).sum() for mean, n in zip(own, requests, strict=True)], dtype=float)
    squares = None
    ratio = 1.0
    for look in range(1, looks + 1):
        first = 0 if by_user else 200 * (look - 1)
        now = slice(first, 200 * look)
        shift = ratio * requests[now].mean()
        samples = []
        for side in (False, True):
            x, y = requests[now][arm[now] == side], sums[now][arm[now] == side]
            if by_user:
                t = y - ratio * x + shift
                samples.append(Sample(n=len(t), nonzero=int((y > 0).sum()), total=t.sum(), squares=(t**2).sum()))
            else:  # every request for itself: variance as if a user's requests had nothing in common
                mean = own[now][arm[now] == side]
                squares = (x * (mean + mean**2)).sum()
                n = int(x.sum())
                samples.append(Sample(n=n, nonzero=min(n, int(y.sum())), total=y.sum(), squares=squares))
        checks.append(check(0 if by_user else None, look, *samples))
    return checks


REVENUE = [Metric(name="revenue", value="amount", role="business", cap=50.0)]
PRIOR = {"revenue": Sample(n=1000, nonzero=900, total=6000.0, squares=120_000.0, requests=6000)}


def false_alarms(by_user, runs=100, looks=20):
    rng = np.random.default_rng(9)
    limit = np.log(20)
    return np.mean(
        [
            any(
                harm(REVENUE, checks[:look], PRIOR, 0.05)["revenue"] >= limit
                for checks in [simulated(rng, looks, by_user=by_user)]
                for look in range(1, looks + 1)
            )
            for _ in range(runs)
        ]
    )


def test_sound_candidates_go_back_too_often_by_request_and_not_by_user():
    by_user, by_request = false_alarms(True), false_alarms(False)
    assert by_user <= 0.05
    assert by_request > 3 * max(by_user, 0.01)


def test_a_version_that_loses_a_third_of_the_revenue_goes_back():
    strategy = Strategy(steps=[CanaryStep(weight=50, margin=0.2)], unit="user", user_key="user")
    rng = np.random.default_rng(4)
    checks = simulated(rng, 40, effect=1 / 3)
    progress = Progress(step=0, seconds_in_step=1.0, candidate_requests=1)
    decision = decide(strategy, REVENUE, checks, progress, PRIOR)
    assert decision.action is Action.ROLL_BACK
    assert decision.verdict.kind is VerdictKind.DEGRADED
    assert "revenue per user" in decision.verdict.reason


def test_a_user_who_comes_back_is_counted_once_in_a_step(engine):
    source = Source(engine, "e", METRICS, COST, attribution_seconds=0.0, user_key="user")
    journal = RolloutJournal(engine, "r", now=lambda: 0.0)
    journal.append(
        Started(
            endpoint="e",
            champion_version="1",
            candidate_version="2",
            champion_deployed="b",
            candidate_deployed="c",
            traffic={"b": 100},
        )
    )
    rows = traffic(5)

    def look(some):
        insert_more(engine, some)
        assert source.take(journal, fold(journal.entries()), now=10.0) == ""
        return fold(journal.entries()).checks[-1]

    journal.append(TrafficSet(step=0, traffic={"b": 70, "c": 30}, log_id=0))
    first, second = look(rows[:500]), look(rows[:500])  # the same people, asking the same again
    assert (first.users_since, second.users_since) == (0, 0)
    assert (first.candidate.users, first.champion.users) == (second.candidate.users, second.champion.users)
    assert second.after == first.until
    assert second.candidate.sample("cost").requests == 2 * first.candidate.sample("cost").requests
    journal.append(TrafficIntended(step=1, traffic={"b": 30, "c": 70}, log_id=second.until))
    journal.append(TrafficSet(step=1, traffic={"b": 30, "c": 70}, log_id=second.until))
    third = look(rows[:500])
    assert third.users_since == second.until
    assert third.candidate.sample("cost").requests == first.candidate.sample("cost").requests
    assert disjoint(fold(journal.entries()).checks) == [second, third]


def insert_more(engine, rows):
    with engine.connect() as connection:
        logged = connection.execute(sa.select(sa.func.max(request_response_log.c.log_id))).scalar_one() or 0
    insert(engine, rows, first=logged)
