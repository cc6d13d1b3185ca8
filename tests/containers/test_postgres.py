"""PostgreSQL counts what SQLite counts, and several may open a new warehouse at once."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from interlock.config import Cost, Metric, parse_config
from interlock.contracts import BinnedColumn, MonitoringAction, MonitoringReference, MonitoringReport
from interlock.monitoring.record import earlier_windows, last_training, write_record
from interlock.monitoring.statements import Rows, traffic_statement
from interlock.monitoring.window import Window, count_window
from interlock.rollout.counts import Check
from interlock.rollout.measurement import measure
from interlock.warehouse import metadata, open_warehouse, outcomes, request_response_log

METRICS = [
    Metric(name="cost", value="cost", role="business", cap=4),
    Metric(name="revenue", value="amount", role="business", cap=100),
    Metric(name="conversion", value="conversion", role="business"),
    Metric(name="errors", value="error", role="guardrail"),
    Metric(name="slow", value="slow", role="guardrail", slow_ms=250),
]
REQUESTS = 400


def counted(engine: sa.Engine) -> Check:
    """Write the same invented traffic, and count it."""
    chance = random.Random(3)
    rows, known = [], []
    for number in range(REQUESTS):
        status = chance.choice([200, 200, 200, 200, 400, 500])
        answer = [{"label": chance.randint(0, 1), "probability": chance.random(), "said": 'a "quoted" word — é'}]
        rows.append(
            {
                "endpoint": "compared",
                "deployed_model_id": chance.choice(["1", "2"]),
                "model_version": "1",
                "logging_time": 1000.0 + number,
                "request_id": f"r{number}",
                "request_payload": json.dumps([{"row_key": f"compared-{number}", "x": None, "text": "ü%s"}]),
                "response_payload": json.dumps(answer if status == 200 else []),
                "status": status,
                "latency_ms": chance.uniform(1, 500),
            }
        )
        if chance.random() < 0.8:
            amount = chance.choice([None, -3.0, 0.0, 20.5, 900.0])
            outcome = {"outcome": chance.randint(0, 1), "amount": amount, "time": 2000.0}
            known.append({"row_key": f"compared-{number}"} | outcome)
    log = request_response_log.c
    with engine.begin() as connection:
        connection.execute(request_response_log.insert(), rows)
        connection.execute(outcomes.insert(), known)
        ids = sa.select(sa.func.min(log.log_id), sa.func.max(log.log_id)).where(log.endpoint == "compared")
        first, last = connection.execute(ids).one()
    arms = {"1": "champion", "2": "candidate"}
    cost = Cost(false_positive=1, false_negative=5)
    return measure(engine, "compared", arms, after=first - 1, until=last, weight=50, metrics=METRICS, cost=cost)


def test_counts_what_sqlite_counts(topology: Any, tmp_path: Path) -> None:
    here, there = open_warehouse(f"sqlite:///{tmp_path}/w.db"), open_warehouse(topology.outside.warehouse)
    local, remote = counted(here), counted(there)
    assert (remote.champion, remote.candidate) == (local.champion, local.candidate)
    assert local.champion.with_outcome > 50
    assert local.champion.samples["revenue"].total > 0
    here.dispose()
    there.dispose()


WATCHED = """
name: watched
source: {table: none, time: time, key: [row_key]}
label: {name: bought, sql: "true"}
features: {numbers: [x], categories: [kind]}
slices: [kind]
cost: {false_positive: 1, false_negative: 5}
gates:
  metrics: [{metric: auc, at_least: 0.5}]
  regression: [{metric: auc, within: 0.5}]
  latency_p99_ms: 1000
  size_megabytes: 100
metrics: [{name: cost, value: cost, role: business, cap: 5}]
strategy: {kind: blue_green, attribution_seconds: 1}
monitoring: {ranges: [{feature: x, least: 0.1, most: 0.9}]}
"""
TRAINED_ON = MonitoringReference(
    rows=1,
    piece_hours=24.0,
    features=[
        BinnedColumn(name="x", edges=[0.25, 0.5, 0.75], pieces=[[1, 0, 0, 0, 0]]),
        BinnedColumn(name="kind", values=["a", "ü"], pieces=[[1, 0, 0, 0]]),
    ],
    score_field="probability",
    score=BinnedColumn(name="probability", edges=[0.3, 0.6], pieces=[[1, 0, 0, 0]]),
)


def watched(engine: sa.Engine) -> Window:
    """Write the same requests with gaps, unknown values and failures, and count them as monitoring does."""
    chance = random.Random(5)
    rows, known = [], []
    for number in range(REQUESTS):
        key, status = f"watched-{number % 390}", chance.choice([200, 200, 200, 200, 400, 500])
        x, kind = chance.choice([None, 0.25, chance.random()]), chance.choice(["a", "ü", "", None, "new"])
        answer = [{"probability": chance.random(), "label": chance.randint(0, 1)}]
        rows.append(
            {
                "endpoint": "watched",
                "deployed_model_id": "1",
                "model_version": chance.choice(["1", "1", "2"]),
                "logging_time": 1000.0 + number,
                "request_id": f"w{number}",
                "request_payload": json.dumps([{"row_key": key, "x": x, "kind": kind}]),
                "response_payload": json.dumps(answer if status == 200 else []),
                "status": status,
                "latency_ms": chance.uniform(1, 500),
            }
        )
        if number < 390 and chance.random() < 0.8:
            known.append({"row_key": key, "outcome": chance.randint(0, 1), "time": 2000.0 + number})
    with engine.begin() as connection:
        connection.execute(request_response_log.insert(), rows)
        connection.execute(outcomes.insert(), known)
    config = parse_config(WATCHED)
    return count_window(engine, config, TRAINED_ON, version="1", since=1000, until=1390, split_since=1200)


def test_monitoring_counts_what_sqlite_counts(postgres: str, tmp_path: Path) -> None:
    here, there = open_warehouse(f"sqlite:///{tmp_path}/w.db"), open_warehouse(postgres)
    local, remote = watched(here), watched(there)
    for group, bins in local.answers.items():  # sums of floats depend on their order
        for ours, theirs in zip(bins, remote.answers[group], strict=True):
            assert msgspec.structs.astuple(ours) == pytest.approx(msgspec.structs.astuple(theirs))
    assert msgspec.structs.replace(local, answers={}) == msgspec.structs.replace(remote, answers={})
    assert local.answers.keys() == remote.answers.keys() == {"", "kind=", "kind=a", "kind=ü", "kind=new"}
    own = local.own
    assert min(own.answered, own.failed, own.refused, own.slow, *local.outside, local.features["kind"][-1]) > 10
    here.dispose()
    there.dispose()


def test_what_monitoring_wrote_is_read_again(postgres: str) -> None:
    engine = open_warehouse(postgres)
    window = watched(engine)
    report = MonitoringReport(
        endpoint="watched", version="1", since=1000, until=1390, requests=1, failed=0, with_outcome=0, cost=None,
        expected_cost=None, score_divergence=None, verdict="alert", reasons=['x: 100 % "null" > 2 %'],
        actions=[MonitoringAction(action="train", because=["x"], outcome="done")],
    )  # fmt: skip
    assert last_training(engine, "watched") is None
    write_record(engine, report, window, 1400.0)
    assert last_training(engine, "watched") == 1400.0
    assert earlier_windows(engine, "watched", "1", until=1390, count=5) == [window.features]
    engine.dispose()


def test_a_window_is_found_by_the_index_also_in_a_log_older_than_it(postgres: str) -> None:
    engine = open_warehouse(postgres)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP INDEX request_response_log_by_time"))
    engine.dispose()
    engine = open_warehouse(postgres)
    watched(engine)
    statement = traffic_statement(Rows("watched", "1", 1000, 1010), 250.0)
    text = str(statement.compile(engine, compile_kwargs={"literal_binds": True}))
    with engine.connect() as connection:
        connection.execute(sa.text("SET enable_seqscan = off"))  # of a log this short all would be read
        plan = "\n".join(connection.execute(sa.text(f"EXPLAIN {text}")).scalars())
    assert "request_response_log_by_time" in plan, plan
    engine.dispose()


@pytest.fixture
def postgres(topology: Any) -> Iterator[str]:
    """An empty database of the topology's server."""
    server, name = sa.create_engine(topology.outside.warehouse, isolation_level="AUTOCOMMIT"), "watched"
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield topology.outside.warehouse.rpartition("/")[0] + f"/{name}"
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


def test_several_may_make_the_tables_at_once(topology: Any) -> None:
    engine = sa.create_engine(topology.outside.warehouse, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE empty"))
    engine.dispose()
    url = topology.outside.warehouse.rpartition("/")[0] + "/empty"
    with ThreadPoolExecutor(8) as pool:
        engines = list(pool.map(open_warehouse, [url] * 8))
    assert set(sa.inspect(engines[0]).get_table_names()) == set(metadata.tables)
    for each in engines:
        each.dispose()
