"""Evaluation of real trained folders in the real model server, on the rows they have not seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlock.config import Config
from interlock.contracts import Evaluation, Features, Manifest
from interlock.errors import InputError
from interlock.evaluation.evaluate import evaluate_model, missing_inputs, score, slice_masks
from interlock.serving.model import load_model
from interlock.settings import child_environment

Train = Callable[..., Manifest]


@pytest.fixture(scope="module")
def evaluated(orders_config: Config, orders_features: Features, orders_source: Path, candidate: Path) -> Evaluation:
    """The candidate against itself."""
    return evaluate_model(
        orders_config,
        features=orders_features,
        source=orders_source,
        candidate=candidate,
        champion=candidate,
        champion_version="1",
        environment=child_environment(),
    )


def test_slices_and_pairs_count_every_row_once(evaluated: Evaluation) -> None:
    rows = {m.slice: m.n for m in evaluated.measures if m.metric == "auc"}
    assert rows[""] == 3000
    for column in ("shop", "region", "shop&region"):
        assert sum(n for name, n in rows.items() if name.startswith(f"{column}=")) == 3000
    assert {"shop=a", "shop=", "region=north", "shop&region=a&north"} <= set(rows)


def test_the_champion_is_compared_on_every_slice(evaluated: Evaluation) -> None:
    slices = {m.slice for m in evaluated.measures if m.slice}
    assert {c.slice for c in evaluated.slice_comparisons} == slices
    assert {c.slice for c in evaluated.comparisons} == {""}
    for comparison in [*evaluated.comparisons, *evaluated.slice_comparisons]:
        if comparison.difference is not None:
            assert (comparison.difference, comparison.low, comparison.high) == (0.0, 0.0, 0.0)


def test_the_server_was_asked(evaluated: Evaluation) -> None:
    assert evaluated.latency_requests == 1000
    assert 0 < evaluated.latency_p50_ms <= evaluated.latency_p99_ms
    assert evaluated.champion_latency_p99_ms is not None
    assert evaluated.load_seconds > 0
    assert {(one.model, one.rows) for one in evaluated.latencies} == {
        (model, rows) for model in ("candidate", "champion") for rows in (1, 64)
    }
    for one in evaluated.latencies:
        assert one.p50_low is not None
        assert one.p50_high is not None
        assert one.p50_low <= one.p50_ms <= one.p50_high
        assert one.requests == (1000 if one.rows == 1 else 100)
        # A hundred batches are enough for a median: the config has no limit for their tail.
        assert (one.p99_high is None) == (one.rows > 1)
        assert one.p99_high is None or one.p99_ms <= one.p99_high
    assert evaluated.latency_p99_ratio[1] <= evaluated.latency_p99_ratio[0] <= evaluated.latency_p99_ratio[2]
    assert evaluated.memory_bytes is not None
    assert evaluated.champion_memory_bytes is not None
    assert 20e6 < evaluated.memory_bytes < 2e9
    assert sum(n for _, _, n in evaluated.calibration) == 3000


def test_batches_with_a_limit_have_a_bound_of_their_tail(
    orders_config: Config, orders_features: Features, orders_source: Path, candidate: Path
) -> None:
    gates = msgspec.structs.replace(orders_config.gates, latency_batch_rows=8, latency_batch_p99_ms=500.0)
    found = evaluate_model(
        msgspec.structs.replace(orders_config, gates=gates),
        features=orders_features,
        source=orders_source,
        candidate=candidate,
        champion=None,
        champion_version="",
        environment=child_environment(),
    )
    batch = next(one for one in found.latencies if one.rows == 8)
    assert batch.requests == 400
    assert batch.p99_high is not None
    assert found.latency_p99_ratio == []


def test_masks_are_the_values_of_the_columns(orders_config: Config, orders_source: Path) -> None:
    rows = pq.read_table(orders_source / "test.parquet")
    shops, regions = (np.array(rows.column(name).to_pylist()) for name in ("shop", "region"))
    masks = slice_masks(rows, orders_config)
    assert np.array_equal(masks["shop=b"], shops == "b")
    assert np.array_equal(masks["shop&region=b&south"], (shops == "b") & (regions == "south"))


def test_a_champion_whose_inputs_are_gone_is_an_outcome_of_its_own(
    tmp_path: Path, orders_config: Config, orders_features: Features, orders_source: Path, train_orders: Train
) -> None:
    wide = tmp_path / "wide"
    wide.mkdir()
    for name in ("train", "validation", "test"):
        rows = pq.read_table(orders_source / f"{name}.parquet")
        pq.write_table(
            rows.append_column("weight", pa.array(np.ones(rows.num_rows, np.float32))), wide / f"{name}.parquet"
        )
    features = msgspec.structs.replace(orders_config.features, numbers=["load", "distance", "weight"])
    train_orders(tmp_path / "champion", config=msgspec.structs.replace(orders_config, features=features), source=wide)
    train_orders(tmp_path / "candidate")
    found = evaluate_model(
        orders_config,
        features=orders_features,
        source=orders_source,
        candidate=tmp_path / "candidate",
        champion=tmp_path / "champion",
        champion_version="7",
        environment=child_environment(),
    )
    assert found.champion == "7"
    assert "weight" in found.champion_unscorable
    assert found.comparisons == found.slice_comparisons == []
    assert found.champion_latency_p99_ms is not None  # its server still answers


def test_a_candidate_whose_inputs_are_gone_is_an_error(candidate: Path, orders_config: Config) -> None:
    rows = pa.table({"late": [0, 1], "load": [0.0, 1.0]})
    model = load_model(candidate)
    assert missing_inputs(model, rows) == "its inputs distance, shop are not in the features"
    with pytest.raises(InputError, match="candidate cannot be scored: its inputs distance, shop"):
        score(model, rows, orders_config, "candidate")
