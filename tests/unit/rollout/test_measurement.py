"""The counts of a check, by one SQL statement, against rows made by hand."""

import json
import random
import time

import pytest
import sqlalchemy as sa

from interlock.config import Cost, Metric
from interlock.errors import EvidenceError
from interlock.rollout.counts import Arm, Sample
from interlock.rollout.measurement import latest_log_id, measure, requests_since, watermark
from interlock.warehouse import open_warehouse, outcomes, request_response_log

METRICS = [
    Metric(name="cost", value="cost", role="business", cap=4.0),
    Metric(name="requests", value="error", role="guardrail"),  # a name that is also a count's
    Metric(name="slow", value="slow", role="guardrail", slow_ms=100),
]
COST = Cost(false_positive=1, false_negative=5)
ARMS = {"b": "champion", "c": "candidate"}


@pytest.fixture
def engine(tmp_path):
    engine = open_warehouse(f"sqlite:///{tmp_path / 'warehouse.db'}")
    yield engine
    engine.dispose()


def row(key, *, deployed="c", label=0, status=200, latency=5.0, endpoint="e", when=0.0):
    return {
        "endpoint": endpoint,
        "deployed_model_id": deployed,
        "model_version": "1",
        "logging_time": when,
        "request_id": key,
        "request_payload": json.dumps([{"row_key": key, "distance": 1.0}]),
        "response_payload": json.dumps([{"probability": 0.5, "label": label}]) if status == 200 else "[]",
        "status": status,
        "latency_ms": latency,
    }


def insert(engine, rows, truths):
    with engine.begin() as connection:
        connection.execute(request_response_log.insert(), rows)
        if truths:
            made = [{"row_key": key, "outcome": outcome, "time": 0.0} for key, outcome in truths.items()]
            connection.execute(outcomes.insert(), made)


@pytest.mark.parametrize(
    "answer",
    [{"label": "red", "probability": 0.9, "probabilities": {"red": 0.9}}, {"value": 12.5, "model_version": "1"}],
)
def test_answers_of_other_tasks_have_outcomes_and_are_no_decisions(engine, answer):
    """Amounts and conversions are counted for them too; mistakes of a binary decision are not."""
    sold = [Metric(name="sold", value="amount", role="business", cap=10.0)]
    insert(engine, [{**row(f"r{i}"), "response_payload": json.dumps([answer])} for i in range(3)], {})
    with engine.begin() as connection:
        made = [{"row_key": f"r{i}", "outcome": 1, "amount": 4.0, "time": 0.0} for i in range(2)]
        connection.execute(outcomes.insert(), made)
    check = measure(engine, "e", ARMS, after=0, until=9, weight=10, metrics=[*sold, METRICS[0]], cost=COST)
    assert (check.candidate.answered, check.candidate.with_outcome) == (3, 2)
    assert check.candidate.samples["sold"] == Sample(n=2, nonzero=2, total=8.0, squares=32.0)
    assert check.candidate.samples["cost"].nonzero == 0


def count(engine, after=0, until=1_000_000):
    return measure(engine, "e", ARMS, after=after, until=until, weight=10, metrics=METRICS, cost=COST)


def test_counts_by_arm(engine):
    rows = [
        row("right"),
        row("false alarm", label=1),
        row("missed", label=0),
        row("caught", label=1, latency=101),
        row("unknown yet"),
        row("refused", status=400),
        row("failed", status=503, latency=500),
        row("champion's", deployed="b"),
        row("of another version", deployed="x"),
        row("of another endpoint", endpoint="f"),
    ]
    insert(engine, rows, {"right": 0, "false alarm": 0, "missed": 1, "caught": 1, "failed": 1, "champion's": 0})
    check = count(engine)
    assert check.candidate == Arm(
        requests=7,
        answered=5,
        failed=1,
        with_outcome=4,
        samples={
            "cost": Sample(n=4, nonzero=2, total=5.0, squares=17.0, levels={1.0: 1, 4.0: 1}),  # 5, capped at 4
            "requests": Sample(n=6, nonzero=1, total=1.0, squares=1.0),
            "slow": Sample(n=5, nonzero=1, total=1.0, squares=1.0),
        },
    )
    assert check.champion.requests == 1


def test_range_is_open_below_and_closed_above(engine):
    insert(engine, [row(str(i)) for i in range(1, 11)], {})
    assert count(engine, after=3, until=7).candidate.requests == 4
    assert count(engine, after=7, until=7).candidate == Arm()


def test_empty_log_counts_nothing(engine):
    assert count(engine).requests == 0
    assert latest_log_id(engine) == 0
    assert watermark(engine, "e", after=0, matured_before=10.0) == 0


def test_watermark_stops_before_the_first_young_row(engine):
    times = [1.0, 2.0, 9.0, 3.0, 4.0]
    insert(engine, [row(str(i), when=when) for i, when in enumerate(times)], {})
    assert watermark(engine, "e", after=0, matured_before=5.0) == 2
    assert watermark(engine, "e", after=3, matured_before=5.0) == 5
    assert watermark(engine, "e", after=0, matured_before=20.0) == 5
    assert watermark(engine, "e", after=0, matured_before=0.5) == 0
    assert watermark(engine, "other", after=0, matured_before=20.0) == 0


def test_requests_since(engine):
    insert(engine, [row(str(i), deployed="b" if i % 2 else "c") for i in range(10)], {})
    assert requests_since(engine, "e", "c", after=4) == 3


def test_broken_source_is_an_evidence_error(engine):
    outcomes.drop(engine)
    with pytest.raises(EvidenceError, match="warehouse cannot be read: no such table: outcomes"):
        count(engine)


def test_twenty_thousand_rows_in_one_check(engine):
    numbers = random.Random(1)
    rows = [row(str(i), deployed=numbers.choice("bc"), label=int(i % 5 == 0)) for i in range(20_000)]
    insert(engine, rows, {str(i): int(i % 7 == 0) for i in range(20_000)})
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        check = count(engine)
        seconds.append(time.perf_counter() - began)
    assert check.requests == 20_000
    assert min(seconds) < 0.5


def test_a_log_without_latencies_is_an_error_and_not_a_fast_version(tmp_path):
    url = f"sqlite:///{tmp_path / 'bare.db'}"
    bare = sa.create_engine(url)
    columns = ", ".join(f"{column.name} {column.type}" for column in request_response_log.columns)
    with bare.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE request_response_log ({columns})"))
    bare.dispose()
    engine = open_warehouse(url)
    insert(engine, [{**row("k", latency=None), "log_id": 1}], {})
    with pytest.raises(EvidenceError, match="metric slow: 1 of 1 answers are logged without a latency"):
        count(engine)
    engine.dispose()
