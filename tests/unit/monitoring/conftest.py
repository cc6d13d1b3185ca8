"""A use case of two features, a version that was trained on it, and a warehouse with what it answered."""

import json

import numpy as np
import pytest

from interlock.config import parse_config
from interlock.contracts import BinnedColumn, Evaluation, Measure, MonitoringReference
from interlock.warehouse import open_warehouse, outcomes, request_response_log

CONFIG = """
name: shop
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
monitoring:
  minimum_rows: 100
  MORE
"""
NOW, HOURS = 1_000_000.0, 1.0


def use_case(more=""):
    return parse_config(CONFIG.replace("MORE", more))


@pytest.fixture
def config():
    return use_case()


@pytest.fixture
def engine(tmp_path):
    return open_warehouse(f"sqlite:///{tmp_path / 'w.db'}")


def draw(seed, n, *, shift=0.0, kinds="ab", missing=0.0):
    """Rows with a score that tells the outcome: (x, kind, score, predicted, outcome)."""
    r = np.random.default_rng(seed)
    x = r.normal(shift, 1, n)
    score = 1 / (1 + np.exp(-2 * x))
    outcome = r.random(n) < score
    kind = r.choice(list(kinds), n)
    lost = r.random(n) < missing
    return [
        (None if lost[i] else float(x[i]), str(kind[i]), float(score[i]), int(score[i] >= 0.3), int(outcome[i]))
        for i in range(n)
    ]


def log(engine, rows, *, at=NOW - 600, version="1", status=200, latency=1.0, outcome=True, endpoint="shop", key="r"):
    answers = [
        {
            "endpoint": endpoint,
            "deployed_model_id": f"d{version}",
            "model_version": version,
            "logging_time": at,
            "request_id": f"{key}{i}",
            "request_payload": json.dumps([{"row_key": f"{key}{i}", "x": x, "kind": kind}]),
            "response_payload": json.dumps([{"probability": score, "label": label}]) if status == 200 else "[]",
            "status": status,
            "latency_ms": latency,
        }
        for i, (x, kind, score, label, _) in enumerate(rows)
    ]
    known = [{"row_key": f"{key}{i}", "outcome": row[-1], "time": at + 1} for i, row in enumerate(rows)]
    with engine.begin() as connection:
        connection.execute(request_response_log.insert(), answers)
        if outcome:
            connection.execute(outcomes.insert(), known)


@pytest.fixture(scope="session")
def reference():
    """Thirty days of 400 rows, all alike."""
    rows = draw(1, 12_000)
    x = np.array([row[0] for row in rows]).reshape(30, 400)
    edges = np.quantile(x, np.arange(1, 10) / 10)
    scores = np.array([row[2] for row in rows]).reshape(30, 400)
    score_edges = np.quantile(scores, np.arange(1, 20) / 20)
    kinds = np.array([row[1] for row in rows]).reshape(30, 400)

    def pieces(values, borders):
        return [[*np.bincount(np.searchsorted(borders, day), minlength=len(borders) + 1).tolist(), 0] for day in values]

    return MonitoringReference(
        rows=12_000,
        piece_hours=24.0,
        features=[
            BinnedColumn(name="x", edges=edges.tolist(), pieces=pieces(x, edges)),
            BinnedColumn(
                name="kind",
                values=["a", "b"],
                pieces=[[int((day == "a").sum()), int((day == "b").sum()), 0, 0] for day in kinds],
            ),
        ],
        score_field="probability",
        score=BinnedColumn(name="probability", edges=score_edges.tolist(), pieces=pieces(scores, score_edges)),
    )


@pytest.fixture(scope="session")
def evaluation():
    """What the version's evaluation said, from 20,000 rows of the same kind."""
    from sklearn.metrics import roc_auc_score

    rows = draw(2, 20_000)
    scores, outcome = np.array([row[2] for row in rows]), np.array([row[4] for row in rows])
    predicted = np.array([row[3] for row in rows])
    cost = ((predicted == 1) & (outcome == 0)) + 5 * ((predicted == 0) & (outcome == 1))
    auc = float(roc_auc_score(outcome, scores))

    def measure(metric, value, half, slice_=""):
        return Measure(metric=metric, slice=slice_, n=20_000, value=value, low=value - half, high=value + half)

    return Evaluation(
        model_sha256="",
        test_sha256="",
        champion="",
        rows=20_000,
        threshold=0.3,
        measures=[
            measure("auc", auc, 0.005),
            measure("auc", auc, 0.007, "kind=a"),
            measure("auc", auc, 0.007, "kind=b"),
            measure("cost", float(cost.mean()), 0.02),
        ],
        comparisons=[],
        confusion=[],
        roc=[],
        score_deciles=[i / 10 for i in range(1, 10)],
        latency_requests=1,
        latency_p50_ms=1,
        latency_p99_ms=1,
        champion_latency_p99_ms=None,
        size_bytes=1,
        load_seconds=0.1,
        calibration=[[0.1, 0.1, 2000], [0.9, 0.9, 2000]],
    )
