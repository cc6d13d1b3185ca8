"""Declared conditions and the label's balance, counted with DuckDB.

They run at ingestion because DuckDB lives in the ``ml`` environment and TFDV's does not have it; validation turns
the counts into anomalies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from interlock.config import Config, SqlCheck
from interlock.contracts import SqlResult, TableChecks
from interlock.errors import ConfigError

MOST_ROWS = 10


def check_table(config: Config, table: Path, table_sha256: str) -> TableChecks:
    """Count the rows of ``table`` that break each check, and its labels. Streams; joins are not visible here."""
    import duckdb

    rules = config.validation.rules
    with duckdb.connect(config={"enable_external_access": False, "threads": 2}) as connection:
        results = [_check(connection, config, table, check) for check in rules.checks]
        labelled, positives = 0, 0
        if rules.label_balance is not None:
            label = f"(SELECT CAST(({config.label.sql}) AS INT) AS label FROM source)"
            query = f"SELECT count(label), coalesce(sum(label), 0) FROM {label}"
            labelled, positives = _rows(connection, table, query, "label.sql")[0]
    return TableChecks(table_sha256=table_sha256, labelled=int(labelled), positives=int(positives), results=results)


def _check(connection: Any, config: Config, table: Path, check: SqlCheck) -> SqlResult:
    name = f"validation.rules.checks: {check.name}"
    broken = f"FROM source WHERE NOT ({check.sql})"
    count = int(_rows(connection, table, f"SELECT count(*) {broken}", name)[0][0])
    rows = []
    if count:
        key = ", ".join(_quote(column) for column in config.source.key)
        found = _rows(connection, table, f"SELECT {key} {broken} LIMIT {MOST_ROWS}", name)
        rows = [dict(zip(config.source.key, map(str, each), strict=True)) for each in found]
    return SqlResult(name=check.name, sql=check.sql, broken=count, at_most=check.at_most, rows=rows)


def _rows(connection: Any, table: Path, query: str, name: str) -> list[tuple[Any, ...]]:
    """Run ``query`` over a stream of the table: a reader can be read once, so each query gets its own."""
    import duckdb

    with pq.ParquetFile(table) as file:
        reader = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches())
        connection.register("source", reader)
        try:
            found: list[tuple[Any, ...]] = connection.sql(query).fetchall()
        except duckdb.Error as error:
            what = " ".join(str(error).partition("LINE 1:")[0].split())
            raise ConfigError(f"{name}: {what}; correct the condition") from error
        finally:
            connection.unregister("source")
    return found


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
