"""Evaluations of invented models, measured by the real metrics."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from interlock.config import Config, Cost
from interlock.contracts import DataVerdict, Evaluation, Latency, Manifest, Measure
from interlock.evaluation.binary import BinaryAnswers, measure_all
from interlock.evaluation.evaluate import compare

SHOPS = ["a", "b", "c", "d"]
COST = Cost(false_positive=1, false_negative=4)
Judged = Callable[..., Evaluation]


class Rows(msgspec.Struct, frozen=True):
    """4,000 rows of four shops, and the signal in them."""

    labels: np.ndarray
    logits: np.ndarray
    shop: np.ndarray


@pytest.fixture(scope="session")
def rows() -> Rows:
    random = np.random.default_rng(5)
    labels = (random.random(4000) < 0.3).astype(np.float64)
    return Rows(labels, random.normal(size=4000) + 2 * labels - 1.5, random.integers(0, 4, 4000))


@pytest.fixture(scope="session")
def evaluated(rows: Rows, orders_config: Config) -> Judged:
    """An evaluation of a model with these logits against one with those, None = no champion yet."""

    def build(logits: np.ndarray, champion: np.ndarray | None = None) -> Evaluation:
        mine, theirs = (_scored(rows, x) if x is not None else None for x in (logits, champion))
        assert mine is not None
        masks = {f"shop={name}": rows.shop == i for i, name in enumerate(SHOPS)}
        found = []
        for name, part in [("", mine), *((name, mine.subset(mask)) for name, mask in masks.items())]:
            for metric, interval in measure_all(["auc"], part).items():
                n = len(part.labels)
                found.append(
                    Measure(metric=metric, slice=name, n=n, value=interval.value, low=interval.low, high=interval.high)
                )
        on_slices = []
        for name, mask in masks.items():
            on_slices += compare(orders_config, mine.subset(mask), theirs.subset(mask), name) if theirs else []
        return Evaluation(
            model_sha256="model",
            test_sha256="test",
            champion="7" if theirs else "",
            rows=4000,
            threshold=0.4,
            measures=found,
            comparisons=compare(orders_config, mine, theirs) if theirs else [],
            slice_comparisons=on_slices,
            confusion=[[0, 0], [0, 0]],
            roc=[],
            score_deciles=[],
            latency_requests=500,
            latency_p50_ms=1.0,
            latency_p99_ms=2.0,
            champion_latency_p99_ms=None,
            latencies=[_latency(1, 2.0, 2.5), _latency(64, 6.0, 7.0)],
            memory_bytes=150_000_000,
            size_bytes=1_000_000,
            load_seconds=0.1,
        )

    return build


@pytest.fixture
def candidate_latency() -> Callable[[int, float, float | None], Latency]:
    """(rows, p99, its upper bound) of the candidate."""
    return _latency


def _latency(rows: int, p99: float, high: float | None) -> Latency:
    return Latency(
        model="candidate",
        rows=rows,
        requests=1000,
        p50_ms=1.0,
        p50_low=0.9,
        p50_high=1.1,
        p99_ms=p99,
        p99_low=1.5,
        p99_high=high,
    )


def _scored(rows: Rows, logits: np.ndarray) -> BinaryAnswers:
    return BinaryAnswers(labels=rows.labels, scores=1 / (1 + np.exp(-logits)), threshold=0.4, cost=COST)


@pytest.fixture(scope="session")
def gate_config(orders_config: Config) -> Config:
    """Rules on all rows and on each shop."""
    import yaml

    from interlock.config import Gates

    text = """
    metrics:
      - {metric: auc, at_least: 0.8}
      - {metric: auc, slice: shop, at_least: 0.8}
    regression:
      - {metric: auc, within: 0.02}
      - {metric: auc, slice: shop, within: 0.05}
    latency_p99_ms: 10
    size_megabytes: 5
    """
    gates = msgspec.convert(yaml.safe_load(text), type=Gates)
    return msgspec.structs.replace(orders_config, gates=gates)


@pytest.fixture(scope="session")
def data_verdict() -> DataVerdict:
    return DataVerdict(passed=True, rows=9000, features=5, table_sha256="table", schema_sha256="schema")


@pytest.fixture(scope="session")
def model_manifest() -> Manifest:
    return Manifest(
        name="orders",
        model_sha256="model",
        signature_sha256="s",
        features_sha256="f",
        table_sha256="table",
        config_sha256="c",
        config="",
        seed=0,
        window=[],
        rows={},
    )
