"""The step ``ingest_table`` on files."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from interlock.components.ingestion import ingest_table

from interlock.contracts import Table, read_contract

CONFIG = """
name: small
source: {table: t.csv, time: when, key: [id]}
label: {name: late, sql: y > 0}
features: {numbers: [x], categories: [kind]}
cost: {false_positive: 1, false_negative: 5}
gates:
  metrics: [{metric: auc, at_least: 0.5}]
  regression: [{metric: auc, within: 0.1}]
  latency_p99_ms: 50
  size_megabytes: 20
metrics: [{name: cost, value: cost, role: business, cap: 5}]
strategy: {steps: [{weight: 5, margin: 0.5}]}
"""


def csv(rows: int) -> str:
    lines = [f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00:00,{i},{i / 2},{'ab'[i % 2]},{i % 2}\n" for i in range(rows)]
    return "when,id,x,kind,y\n" + "".join(lines)


def test_a_window_becomes_a_table(run_step, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(csv(72))
    done = run_step(ingest_table, config=CONFIG, start="2024-01-02", end="2024-01-03", base=str(tmp_path))
    assert done.status == 0, done.error
    table = read_contract(done.paths["table"] / "table.json", Table)
    assert table.rows == 24
    assert done.metadata["table"] == {"rows": 24, "sha256": table.sha256}
    assert pq.read_table(done.paths["table"] / "table.parquet").num_rows == 24


@pytest.mark.parametrize(
    ("text", "start", "message"),
    [
        ("when,id,x,kind,y\n", "", "0 rows"),
        (csv(30), "2030-01-01", "0 rows with when in"),
        (csv(30).replace("kind", "x", 1), "", "column x appears twice"),
    ],
)
def test_bad_input_leaves_nothing(run_step, tmp_path: Path, text: str, start: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    done = run_step(ingest_table, config=CONFIG, start=start, end="", base=str(tmp_path))
    assert done.status != 0
    assert message in done.error
    assert not (done.paths["table"] / "table.json").exists()
    assert done.metadata == {}
