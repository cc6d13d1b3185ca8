"""The whole stage over a folder that ingestion wrote: statistics, verdict, page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlock.config import Config
from interlock.contracts import DataVerdict, Table, read_contract
from interlock.validation.page import render_page
from interlock.validation.statistics import compute_statistics
from interlock.validation.validate import judge_table


def validate_table(config: Config, *, schema_text: str, folder: Path) -> tuple[DataVerdict, Any, str]:
    """Verdict, ``DatasetFeatureStatisticsList`` and HTML page of the table in ``folder``."""
    table = read_contract(folder / "table.json", Table)
    wanted = config.validation
    statistics = compute_statistics(folder / "table.parquet", slices=wanted.slices, weight=wanted.weight)
    reference = None
    if wanted.reference is not None:
        reference = compute_statistics(folder / "reference.parquet", weight=wanted.weight)
    verdict = judge_table(
        config, schema_text=schema_text, table=table, folder=folder, statistics=statistics, reference=reference
    )
    window = f"{table.time_start[:10]} to {table.time_end[:10]}" if table.time_start else f"{table.rows} rows"
    return verdict, statistics, render_page(f"{config.name}, {window}", verdict, statistics, reference)
