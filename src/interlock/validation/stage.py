"""The whole stage over a folder that ingestion wrote: statistics, verdict, page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlock.config import Config, Validation
from interlock.contracts import DataVerdict, Table, read_contract
from interlock.validation.dataflow import dataflow_statistics
from interlock.validation.page import render_page
from interlock.validation.statistics import compute_statistics
from interlock.validation.validate import judge_table


def validate_table(config: Config, *, schema_text: str, folder: Path) -> tuple[DataVerdict, Any, str]:
    """Verdict, ``DatasetFeatureStatisticsList`` and HTML page of the table in ``folder``."""
    table = read_contract(folder / "table.json", Table)
    wanted = config.validation
    statistics = _statistics(wanted, folder / "table.parquet", table.sha256, wanted.slices)
    reference = None
    if wanted.reference is not None:
        reference = _statistics(wanted, folder / "reference.parquet", table.reference_sha256, [])
    verdict = judge_table(
        config, schema_text=schema_text, table=table, folder=folder, statistics=statistics, reference=reference
    )
    window = f"{table.time_start[:10]} to {table.time_end[:10]}" if table.time_start else f"{table.rows} rows"
    times = [column.name for column in table.columns if column.kind == "time"]
    return verdict, statistics, render_page(f"{config.name}, {window}", verdict, statistics, reference, times=times)


def _statistics(wanted: Validation, table: Path, sha256: str, slices: list[str]) -> Any:
    if wanted.engine == "dataflow":
        return dataflow_statistics(wanted, table, sha256=sha256, slices=slices)
    return compute_statistics(table, slices=slices, weight=wanted.weight)
