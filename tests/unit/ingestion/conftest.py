"""A small use case on a CSV of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock.config import Config, parse_config
from interlock.contracts import Table
from interlock.ingestion.ingest import ingest_table

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


@pytest.fixture
def config() -> Callable[..., Config]:
    """``config(validation={...}, source={...})``: the small config with sections changed."""
    import yaml

    def make(**changes: dict[str, Any]) -> Config:
        raw = yaml.safe_load(CONFIG)
        for section, values in changes.items():
            raw[section] = {**raw.get(section, {}), **values}
        return parse_config(yaml.safe_dump(raw))

    return make


@pytest.fixture
def ingest(tmp_path: Path, config: Callable[..., Config]) -> Callable[..., Table]:
    """``ingest(text, name=…, start=…, end=…, **changes)`` writes the source and ingests it into ``out/``."""

    def run(text: str | bytes, *, name: str = "t.csv", start: str = "", end: str = "", **changes: Any) -> Table:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        changes["source"] = {"table": name, **changes.get("source", {})}
        return ingest_table(config(**changes), start=start, end=end, base=tmp_path, folder=tmp_path / "out")

    return run
