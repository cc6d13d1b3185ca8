"""The step ``validate_data`` on a folder that ingestion wrote."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from interlock.components.validation import validate_data

from interlock.contracts import DataVerdict, Table, read_contract, write_contract

SCHEMA = """
feature { name: "when" type: INT }
feature { name: "id" type: INT }
feature { name: "x" type: FLOAT float_domain { min: 0 max: 100 } }
default_environment: "TRAINING"
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """240 good rows."""
    folder = tmp_path / "ingested"
    folder.mkdir()
    when = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=i) for i in range(240)]
    values = pa.table({"when": when, "id": range(240), "x": [i / 4 for i in range(240)]})
    pq.write_table(values, folder / "table.parquet")
    write_contract(Table(source="t", rows=240, columns=[], sha256="s"), folder / "table.json")
    return folder


def config(**validation: object) -> str:
    raw = {
        "name": "small",
        "source": {"table": "t.csv", "time": "when", "key": ["id"]},
        "label": {"name": "late", "sql": "x > 30"},
        "features": {"numbers": ["x"]},
        "validation": validation,
        "cost": {"false_positive": 1, "false_negative": 5},
        "gates": {
            "metrics": [{"metric": "auc", "at_least": 0.5}],
            "regression": [{"metric": "auc", "within": 0.1}],
            "latency_p99_ms": 50,
            "size_megabytes": 20,
        },
        "metrics": [{"name": "cost", "value": "cost", "role": "business", "cap": 5}],
        "strategy": {"steps": [{"weight": 5, "margin": 0.5}]},
    }
    return yaml.safe_dump(raw)


def test_a_good_table_passes(run_step, table: Path) -> None:
    done = run_step(validate_data, {"table": table}, config=config(), schema=SCHEMA)
    assert done.status == 0, done.error
    assert read_contract(done.paths["verdict"], DataVerdict).passed
    assert done.metadata["verdict"] == {"passed": True, "anomalies": 0}
    assert done.paths["page"].read_text().startswith("<!DOCTYPE html>")
    assert len(done.paths["statistics"].read_bytes()) > 500


def test_an_anomaly_blocks_and_does_not_fail_the_step(run_step, table: Path) -> None:
    done = run_step(validate_data, {"table": table}, config=config(), schema=SCHEMA.replace("max: 100", "max: 50"))
    assert done.status == 0, done.error
    verdict = read_contract(done.paths["verdict"], DataVerdict)
    assert not verdict.passed
    assert [(each.feature, each.value, each.limit) for each in verdict.anomalies] == [("x", "0 to 59.75", "[0, 50]")]
    assert len(verdict.anomalies[0].rows) == 10


@pytest.mark.parametrize(
    ("validation", "schema", "message"),
    [
        ({}, SCHEMA.replace("type: FLOAT", "tpye: FLOAT"), "schema: 4:"),
        ({"slices": ["planet"]}, SCHEMA, "validation.slices: no column planet"),
    ],
)
def test_what_cannot_be_judged_leaves_no_verdict(
    run_step, table: Path, validation: dict[str, object], schema: str, message: str
) -> None:
    done = run_step(validate_data, {"table": table}, config=config(**validation), schema=schema)
    assert done.status != 0
    assert message in done.error
    assert not done.paths["verdict"].exists()
