"""PostgreSQL counts what SQLite counts, and several may open a new warehouse at once."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from interlock.config import Cost, Metric
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
