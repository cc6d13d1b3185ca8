"""The whole stage over a folder that ingestion wrote: statistics, verdict, page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlock.config import Config, Validation
from interlock.contracts import DataVerdict, Table, read_contract
from interlock.errors import ContractError
from interlock.progress import Say, silent
from interlock.validation.dataflow import dataflow_statistics
from interlock.validation.page import render_page
from interlock.validation.statistics import compute_statistics
from interlock.validation.validate import judge_table


def validate_table(
    config: Config, *, schema_text: str, folder: Path, say: Say = silent
) -> tuple[DataVerdict, Any, str]:
    """Verdict, ``DatasetFeatureStatisticsList`` and HTML page of the table in ``folder``."""
    table = read_contract(folder / "table.json", Table)
    wanted = config.validation
    statistics = _statistics(
        wanted, folder / "table.parquet", table.sha256, wanted.slices, weight=wanted.weight, say=say
    )
    reference = None
    if wanted.reference is not None:
        reference = _statistics(
            wanted, folder / "reference.parquet", table.reference_sha256, [], weight=wanted.weight, say=say
        )
    served = None
    if wanted.serving is not None:
        served = _statistics(wanted, folder / "serving.parquet", table.serving_sha256, [], weight="", say=say)
    verdict = judge_table(
        config,
        schema_text=schema_text,
        table=table,
        folder=folder,
        statistics=statistics,
        reference=reference,
        served=served,
    )
    window = f"{table.time_start[:10]} to {table.time_end[:10]}" if table.time_start else f"{table.rows} rows"
    times = [column.name for column in table.columns if column.kind == "time"]
    return verdict, statistics, render_page(f"{config.name}, {window}", verdict, statistics, reference, times=times)


def _statistics(wanted: Validation, table: Path, sha256: str, slices: list[str], *, weight: str, say: Say) -> Any:
    if not table.exists():
        raise ContractError(f"{table.name} is missing beside the table: ingest it again")
    if wanted.engine == "dataflow":
        return dataflow_statistics(wanted, table, sha256=sha256, slices=slices, weight=weight)
    return compute_statistics(table, slices=slices, weight=weight, say=say)
