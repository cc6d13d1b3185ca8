"""Rows of BigQuery: tables through the Storage API, queries from a file.

Only the columns that are needed and the rows of the window leave BigQuery. A table is read with ``selected_fields``
and ``row_restriction``, so that partitions and column blocks outside are not scanned. Around a query goes
``SELECT columns FROM (query) WHERE window``; it is planned first, which is free and tells the columns. One stream keeps
the table's order of rows, on which the fingerprint depends.

The Storage API is gRPC. Without a client for it, as against a REST double, rows come as JSON and all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from interlock.errors import EnvironmentProblem, InputError
from interlock.ingestion.time_range import TimeRange


def open_bigquery(
    uri: str, base: Path, *, columns: list[str] | None, within: TimeRange | None
) -> Iterator[pa.RecordBatch]:
    """Rows of ``uri`` with the credentials of this environment."""
    try:
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import bigquery
        from google.cloud.bigquery_storage import BigQueryReadClient
    except ImportError as error:
        raise EnvironmentProblem(f"source {uri}: {error.name} is not installed: pip install 'interlock[ml]'") from error
    try:
        client = bigquery.Client()
        storage = BigQueryReadClient()  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        raise InputError(f"source {uri}: no credentials for BigQuery: {_line(error)}; log in") from error
    yield from read_bigquery(client, uri, base, columns=columns, within=within, storage=storage)


def read_bigquery(
    client: Any,
    uri: str,
    base: Path,
    *,
    columns: list[str] | None = None,
    within: TimeRange | None = None,
    storage: Any = None,
) -> Iterator[pa.RecordBatch]:
    """Rows of the table ``bq://…`` or of the query in the file ``uri``, columns in the order of ``columns``.

    ``client`` is a ``bigquery.Client``, ``storage`` a ``BigQueryReadClient``. Refusals are :class:`InputError`.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        if uri.startswith("bq://"):
            batches = _table(client, uri, columns, within, storage)
        else:
            batches = _query(client, uri, (base / uri).read_text(encoding="utf-8"), columns, within, storage)
        for batch in batches:
            yield _plain_decimals(batch if columns is None else batch.select(columns))
    except OSError as error:
        raise InputError(f"source {uri}: {error.strerror or error}; correct source.table in the config") from error
    except (GoogleAPIError, GoogleAuthError, ValueError) as error:
        raise InputError(f"source {uri}: BigQuery refused: {_line(error)}; check name and rights") from error


def _table(
    client: Any, uri: str, columns: list[str] | None, within: TimeRange | None, storage: Any
) -> Iterator[pa.RecordBatch]:
    table = client.get_table(uri.removeprefix("bq://"))
    kinds = {field.name: field.field_type for field in table.schema}
    _require(uri, columns, kinds)
    if storage is None:
        chosen = [field for field in table.schema if columns is None or field.name in columns]
        yield from client.list_rows(table, selected_fields=chosen).to_arrow_iterable()
        return
    from google.cloud.bigquery_storage import ReadSession

    wanted = ReadSession(table=table.to_bqstorage(), data_format="ARROW")
    wanted.read_options.selected_fields = columns or []
    wanted.read_options.row_restriction = within.sql(kinds.get(within.column, "")) if within else ""
    session = storage.create_read_session(parent=f"projects/{client.project}", read_session=wanted, max_stream_count=1)
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    for stream in session.streams:
        for message in storage.read_rows(stream.name):
            yield pa.ipc.read_record_batch(pa.py_buffer(message.arrow_record_batch.serialized_record_batch), schema)


def _query(
    client: Any, uri: str, query: str, columns: list[str] | None, within: TimeRange | None, storage: Any
) -> Iterator[pa.RecordBatch]:
    from google.cloud.bigquery import QueryJobConfig

    query = query.strip().rstrip(";")
    planned = client.query(query, job_config=QueryJobConfig(dry_run=True, use_query_cache=False))
    kinds = {field.name: field.field_type for field in planned.schema}
    _require(uri, columns, kinds)
    window = within.sql(kinds.get(within.column, "")) if within else ""
    if window or columns is not None:
        names = ", ".join(f"`{name}`" for name in columns) if columns is not None else "*"
        query = f"SELECT {names} FROM (\n{query}\n)" + (f" WHERE {window}" if window else "")
    yield from client.query_and_wait(query).to_arrow_iterable(bqstorage_client=storage, max_stream_count=1)


def _require(uri: str, columns: list[str] | None, there: Mapping[str, str]) -> None:
    missing = [name for name in columns or [] if name not in there]
    if missing:
        raise InputError(f"source {uri}: no column {', '.join(missing)}; it has {', '.join(there)[:300]}")


def _plain_decimals(batch: pa.RecordBatch) -> pa.RecordBatch:
    """NUMERIC as float: features are floats in the end, and SQL on decimals overflows."""
    arrays = [array.cast(pa.float64()) if pa.types.is_decimal(array.type) else array for array in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
