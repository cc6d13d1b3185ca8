"""A small use case, invented: shops whose orders come late, with signal in numbers and in a category."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlock.config import Config, parse_config
from interlock.contracts import Features, Manifest

CONFIG = """
name: orders
seed: 3
source: {table: orders.csv, time: day, key: [order]}
label: {name: late, sql: late}
features: {numbers: [load, distance], categories: [shop]}
slices: [shop, region]
slice_pairs: [[shop, region]]
training: {parameters: {max_iter: 20}}
cost: {false_positive: 1, false_negative: 4}
gates:
  metrics: [{metric: auc, at_least: 0.6}]
  regression: [{metric: auc, within: 0.02}]
  latency_p99_ms: 1000
  size_megabytes: 10
metrics: [{name: cost, value: cost, role: business, cap: 4}]
strategy: {steps: [{weight: 10, margin: 0.5}]}
"""
SHOPS, REGIONS = ["a", "b", "c"], ["north", "south"]


def orders(rows: int, seed: int) -> pa.Table:
    """Rows in the order of time, as the features stage writes them; some values are missing."""
    random = np.random.default_rng(seed)
    load, distance = random.normal(size=rows), random.normal(size=rows)
    shop = random.integers(0, 3, rows)
    chance = 1 / (1 + np.exp(-(1.8 * load - distance + shop - 2)))
    load[random.random(rows) < 0.05] = np.nan
    return pa.table(
        {
            "row_key": [f"{seed}-{i}" for i in range(rows)],
            "row_time": pa.array(np.arange(rows)),
            "late": pa.array((random.random(rows) < chance).astype(np.int8)),
            "load": pa.array(load, pa.float32(), from_pandas=True),
            "distance": pa.array(distance, pa.float32()),
            "shop": ["" if i % 50 == 0 else SHOPS[s] for i, s in enumerate(shop)],
            "region": [REGIONS[i] for i in random.integers(0, 2, rows)],
        }
    )


@pytest.fixture(scope="session")
def orders_config() -> Config:
    return parse_config(CONFIG)


@pytest.fixture(scope="session")
def orders_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of splits."""
    folder = tmp_path_factory.mktemp("features")
    for seed, (name, rows) in enumerate({"train": 3000, "validation": 1000, "test": 3000}.items()):
        pq.write_table(orders(rows, seed), folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="session")
def orders_features() -> Features:
    return Features(
        table_sha256="table",
        sha256="features",
        label="late",
        numbers=["load", "distance"],
        categories=["shop"],
        rows={"train": 3000, "validation": 1000, "test": 3000},
        dropped_rows=0,
        boundaries={},
    )


Train = Callable[..., Manifest]


@pytest.fixture(scope="session")
def train_orders(orders_config: Config, orders_source: Path, orders_features: Features) -> Train:
    """Train into a folder; keywords replace parts of ``training``, ``config`` and ``source`` everything."""
    from interlock.training.train import Provenance, train_model

    def train(
        folder: Path, *, config: Config | None = None, source: Path | None = None, **training: object
    ) -> Manifest:
        whole = config or orders_config
        changed = msgspec.structs.replace(whole, training=msgspec.structs.replace(whole.training, **training))
        return train_model(
            changed,
            features=orders_features,
            source=source or orders_source,
            folder=folder,
            provenance=Provenance(config=CONFIG, window=["", ""]),
        )

    return train


@pytest.fixture(scope="session")
def candidate(tmp_path_factory: pytest.TempPathFactory, train_orders: Train) -> Path:
    """A trained candidate's folder."""
    folder = tmp_path_factory.mktemp("candidate")
    train_orders(folder)
    return folder
