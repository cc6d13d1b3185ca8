"""Monitoring: counts come from the warehouse, and missing data is never good news."""

import json

import pytest

from interlock.config import Cost
from interlock.contracts import Evaluation, Measure
from interlock.monitoring.judge import judge_window, score_divergence
from interlock.monitoring.window import Window, count_window
from interlock.warehouse import open_warehouse, outcomes, request_response_log

COST = Cost(false_positive=1, false_negative=5)
DECILES = [i / 10 for i in range(1, 10)]


class Monitored:
    """The parts of a config that monitoring reads."""

    def __init__(self):
        from interlock.config import Monitoring, PostDeploy

        self.name = "m"
        self.monitoring = Monitoring(drift_limit=0.1, minimum_rows=100)
        self.post_deploy = PostDeploy(margin=0.3)

        class Strategy:
            minimum_outcome_share = 0.8

        self.strategy = Strategy()


EVALUATION = Evaluation(
    model_sha256="",
    test_sha256="",
    champion="",
    rows=1000,
    threshold=0.5,
    measures=[Measure(metric="cost", n=1000, value=0.3, low=0.28, high=0.32)],
    comparisons=[],
    confusion=[],
    roc=[],
    score_deciles=DECILES,
    latency_requests=1,
    latency_p50_ms=1,
    latency_p99_ms=1,
    champion_latency_p99_ms=None,
    size_bytes=1,
    load_seconds=0.1,
)


def window(**changes):
    same = {"since": 0.0, "until": 1.0, "requests": 1000, "failed": 0, "with_outcome": 1000, "total_cost": 300.0}
    return Window(**(same | {"tenths": [100] * 10} | changes))


def judged(**changes):
    return judge_window(Monitored(), version="1", evaluation=EVALUATION, window=window(**changes))


def test_the_same_as_evaluated_is_ok():
    report = judged()
    assert report.verdict == "ok"
    assert report.reasons == []
    assert report.cost == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tenths": [700] + [33] * 9}, "score divergence"),
        ({"tenths": [0] * 10}, "score divergence unknown"),
        ({"with_outcome": 500, "total_cost": 150.0}, "outcomes for 50.0% of requests < 80% required"),
        ({"with_outcome": 0, "total_cost": 0.0}, "outcomes for 0.0% of requests"),
        ({"total_cost": 500.0}, "cost 0.5000 > 0.3900"),
    ],
)
def test_what_moved_is_an_alert_with_its_inequality(changes, reason):
    report = judged(**changes)
    assert report.verdict == "alert"
    assert any(reason in text for text in report.reasons)


def test_few_requests_are_not_ok():
    report = judged(requests=99)
    assert report.verdict == "not enough data"
    assert "99 requests < 100 required" in report.reasons[0]


def test_divergence_is_zero_for_equal_shares_and_one_bit_at_most():
    assert score_divergence([5] * 10) == pytest.approx(0.0)
    assert 0.5 < score_divergence([1000] + [0] * 9) <= 1.0
    assert score_divergence([0] * 10) is None


@pytest.fixture
def warehouse(tmp_path):
    return open_warehouse(f"sqlite:///{tmp_path / 'w.db'}")


def log(engine, key, *, time, probability, outcome=None, version="1", status=200, endpoint="m"):
    answer = [{"probability": probability, "label": int(probability >= 0.5)}] if status == 200 else []
    row = {
        "endpoint": endpoint,
        "deployed_model_id": "d",
        "model_version": version,
        "logging_time": time,
        "request_id": key,
        "request_payload": json.dumps([{"row_key": key}]),
        "response_payload": json.dumps(answer),
        "status": status,
        "latency_ms": 1.0,
    }
    with engine.begin() as connection:
        connection.execute(request_response_log.insert(), row)
        if outcome is not None:
            connection.execute(outcomes.insert(), {"row_key": key, "outcome": outcome, "time": time})


def count(engine):
    return count_window(engine, endpoint="m", version="1", since=10, until=20, deciles=DECILES, cost=COST)


def test_counts_only_the_version_the_endpoint_and_the_window(warehouse):
    log(warehouse, "early", time=10, probability=0.9, outcome=0)
    log(warehouse, "a", time=11, probability=0.95, outcome=0)  # acted in vain: 1
    log(warehouse, "b", time=12, probability=0.05, outcome=1)  # missed: 5
    log(warehouse, "c", time=13, probability=0.45, outcome=0)
    log(warehouse, "d", time=20, probability=0.85)  # outcome still to come
    log(warehouse, "e", time=14, probability=0, status=500)
    log(warehouse, "late", time=21, probability=0.9, outcome=0)
    log(warehouse, "other version", time=15, probability=0.9, outcome=0, version="2")
    log(warehouse, "other endpoint", time=15, probability=0.9, outcome=0, endpoint="n")
    found = count(warehouse)
    assert (found.requests, found.failed, found.with_outcome, found.total_cost) == (5, 1, 3, 6.0)
    assert found.tenths == [1, 0, 0, 0, 1, 0, 0, 0, 1, 1]


def test_an_empty_window_counts_zero(warehouse):
    found = count(warehouse)
    assert found.requests == 0
    assert judge_window(Monitored(), version="1", evaluation=EVALUATION, window=found).verdict == "not enough data"
