"""Joins, derived columns and the split by time; what cannot be trained on is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from interlock.config import parse_config
from interlock.contracts import Anomaly, DataVerdict, Features, Table, read_contract
from interlock.errors import ConfigError, GateFailed, InputError
from interlock.features.build import build_features

CONFIG = """
name: small
source:
  table: t.csv
  time: when
  key: [id]
  join: [{name: weather, table: w.csv, by: [kind], columns: [temp]}]
label: {name: late, sql: y > 0}
features: {numbers: [x, temp, twice], categories: [kind], derived: {twice: 2 * x}}
slices: [kind]
cost: {false_positive: 1, false_negative: 5}
gates:
  metrics: [{metric: auc, at_least: 0.5}]
  regression: [{metric: auc, within: 0.1}]
  latency_p99_ms: 50
  size_megabytes: 20
metrics: [{name: cost, value: cost, role: business, cap: 5}]
strategy: {steps: [{weight: 5, margin: 0.5}]}
"""
N = 100
START = dt.datetime(2024, 1, 1)


@pytest.fixture
def build(tmp_path: Path):
    """``build(columns, weather=…, verdict=…, **sections)`` on 100 rows, one per hour."""

    def run(columns: dict[str, Any] | None = None, *, weather: Any = None, verdict: Any = None, **sections: Any):
        data = {
            "when": [START + dt.timedelta(hours=i) for i in range(N)],
            "id": list(range(N)),
            "x": [float(i) for i in range(N)],
            "kind": ["ab"[i % 2] for i in range(N)],
            "y": [i % 3 - 1 for i in range(N)],
            **(columns or {}),
        }
        source = tmp_path / "table"
        source.mkdir(exist_ok=True)
        pq.write_table(pa.table(data), source / "table.parquet")
        pq.write_table(pa.table(weather or {"kind": ["a", "b"], "temp": [1.0, 2.0]}), source / "weather.parquet")
        table = Table(source="t", rows=N, columns=[], sha256="s")
        good = DataVerdict(passed=True, rows=N, features=5, table_sha256="s", schema_sha256="")
        raw = {**yaml.safe_load(CONFIG), **sections}
        config = parse_config(yaml.safe_dump(raw))
        return build_features(config, table=table, verdict=verdict or good, source=source, folder=tmp_path / "out")

    return run


def test_rows_are_joined_derived_and_split_by_time(build, tmp_path: Path) -> None:
    features = build()
    parts = {name: pq.read_table(tmp_path / "out" / f"{name}.parquet") for name in ("train", "validation", "test")}
    assert features.rows == {"train": 70, "validation": 10, "test": 20}
    assert read_contract(tmp_path / "out" / "features.json", Features) == features
    times = [part.column("row_time").to_pylist() for part in parts.values()]
    assert times[0][-1] < times[1][0] <= times[1][-1] < times[2][0]
    first = parts["train"].slice(1, 1).to_pylist()[0]
    assert (first["row_key"], first["temp"], first["twice"], first["kind"]) == ("1", 2.0, 2.0, "b")


def test_unsorted_rows_are_sorted(build) -> None:
    backwards = [START - dt.timedelta(hours=i) for i in range(N)]
    assert build({"when": backwards}).rows == {"train": 70, "validation": 10, "test": 20}


def test_rows_of_one_moment_stay_together(build, tmp_path: Path) -> None:
    build({"when": [START + dt.timedelta(hours=i // 25) for i in range(N)]})
    ends = [pq.read_table(tmp_path / "out" / f"{name}.parquet").column("row_time") for name in ("train", "test")]
    assert ends[0][-1].as_py() < ends[1][0].as_py()


def test_rows_without_a_label_are_dropped_and_counted(build) -> None:
    features = build({"y": [None if i % 10 == 0 else i % 3 - 1 for i in range(N)]})
    assert features.dropped_rows == 10
    assert sum(features.rows.values()) == 90


def test_same_rows_same_fingerprint(build) -> None:
    assert build().sha256 == build().sha256
    assert build({"x": [float(i + 1) for i in range(N)]}).sha256 != build().sha256


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": [1] * N}, r"label late: values \[1\] in 100 rows, both 0 and 1 are needed"),
        ({"y": pa.nulls(N, pa.int64())}, r"label late: values \[\] in 0 rows"),
        ({"id": [0, *range(N - 1)]}, "1 of 100 rows repeat a key"),
        ({"when": [START] * N}, "train, validation has 0 of 100 rows"),
    ],
)
def test_rows_that_cannot_be_trained_on(build, tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(columns)
    assert not (tmp_path / "out" / "features.json").exists()


def test_a_join_that_multiplies_rows(build) -> None:
    with pytest.raises(InputError, match="joining weather made 150 rows of 100"):
        build(weather={"kind": ["a", "a", "b"], "temp": [1.0, 2.0, 3.0]})


def test_sql_that_does_not_fit(build) -> None:
    with pytest.raises(ConfigError, match="no_such_column"):
        build(label={"name": "late", "sql": "no_such_column > 0"})


def test_sql_cannot_read_files(build, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    secret = f"(SELECT count(*) FROM read_csv('{tmp_path}/secret.csv')) > 0"
    with pytest.raises(ConfigError):
        build(label={"name": "late", "sql": secret})


def test_the_verdict_must_have_passed_and_be_about_this_table(build, tmp_path: Path) -> None:
    bad = Anomaly("x", "all_null", "0 values", ">= 1 value", "x has no value")
    blocked = DataVerdict(passed=False, rows=N, features=5, table_sha256="s", schema_sha256="", anomalies=[bad])
    with pytest.raises(GateFailed, match="data gate: 1 anomalies, first x: x has no value"):
        build(verdict=blocked)
    other = DataVerdict(passed=True, rows=N, features=5, table_sha256="other", schema_sha256="")
    with pytest.raises(InputError, match="data verdict is about table other"):
        build(verdict=other)
    assert not (tmp_path / "out").exists()
