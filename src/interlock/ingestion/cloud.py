"""Tables on Google Cloud: files on Cloud Storage, tables and queries of BigQuery."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from interlock.errors import EnvironmentProblem, InputError


def open_source(
    uri: str, base: Path, *, columns: list[str] | None, types: Mapping[str, str] | None
) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    """Pairs of a name for messages and its batches."""
    if uri.startswith("gs://"):
        yield from _storage(uri, columns, types)
    else:
        yield uri, _bigquery(uri, base, columns)


def _storage(
    uri: str, columns: list[str] | None, types: Mapping[str, str] | None
) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    from google.api_core.exceptions import GoogleAPIError
    from google.cloud import storage  # type: ignore[attr-defined]

    from interlock.ingestion.sources import SUFFIXES, read_stream

    bucket, _, pattern = uri.removeprefix("gs://").partition("/")
    fixed = pattern.partition("*")[0].partition("?")[0].partition("[")[0]
    try:
        blobs = sorted(storage.Client().list_blobs(bucket, prefix=fixed), key=lambda blob: str(blob.name))
    except GoogleAPIError as error:
        raise InputError(f"source {uri}: cannot be listed: {_line(error)}; check name and rights") from error
    inside = pattern.rstrip("/") + "/*"
    found = [
        blob
        for blob in blobs
        if blob.name.lower().endswith(SUFFIXES)
        and (fnmatch.fnmatch(blob.name, pattern) or fnmatch.fnmatch(blob.name, inside))
    ]
    if not found:
        raise InputError(f"source {uri}: no such object; correct source.table in the config")
    for blob in found:
        name = f"gs://{bucket}/{blob.name}"
        yield name, read_stream(name, _opener(blob), columns=columns, types=types)


def _opener(blob: Any) -> Any:
    return lambda: blob.open("rb")


def _bigquery(uri: str, base: Path, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    try:
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import bigquery
    except ImportError as error:
        raise EnvironmentProblem(f"source {uri}: google-cloud-bigquery is not installed: pip install it") from error
    try:
        client, storage = bigquery.Client(), _storage_api()
    except GoogleAuthError as error:
        raise InputError(f"source {uri}: no credentials for BigQuery: {_line(error)}; log in") from error
    yield from read_bigquery(client, uri, base, columns=columns, storage=storage)


def _storage_api() -> Any:
    """Client of the BigQuery Storage API, which streams Arrow; None where it is not installed: then rows are JSON."""
    try:
        from google.cloud.bigquery_storage import BigQueryReadClient
    except ImportError:
        return None
    return BigQueryReadClient()


def read_bigquery(
    client: Any, uri: str, base: Path, *, columns: list[str] | None = None, storage: Any = None
) -> Iterator[pa.RecordBatch]:
    """Rows of the table ``bq://…`` or of the query in the file ``uri``; ``client`` is a ``bigquery.Client``.

    A table is asked for ``columns`` only. A query is run as it is written, and ``columns`` are taken from its answer.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    from interlock.ingestion.sources import plain_time

    try:
        if uri.startswith("bq://"):
            table = client.get_table(uri.removeprefix("bq://"))
            _require(uri, columns, [field.name for field in table.schema])
            chosen = [field for field in table.schema if columns is None or field.name in columns]
            rows = client.list_rows(table, selected_fields=chosen)
        else:
            rows = client.query_and_wait((base / uri).read_text(encoding="utf-8"))
            _require(uri, columns, [field.name for field in rows.schema])
        batches = rows.to_arrow_iterable(bqstorage_client=storage)
        for batch in plain_time(batches):
            yield _plain_decimals(batch if columns is None else batch.select(columns))
    except OSError as error:
        raise InputError(f"source {uri}: {error.strerror or error}; correct source.table in the config") from error
    except (GoogleAPIError, GoogleAuthError, ValueError) as error:
        raise InputError(f"source {uri}: BigQuery refused: {_line(error)}; check name and rights") from error


def _require(uri: str, columns: list[str] | None, there: list[str]) -> None:
    missing = [name for name in columns or [] if name not in there]
    if missing:
        raise InputError(f"source {uri}: no column {', '.join(missing)}; it has {', '.join(there)[:300]}")


def _plain_decimals(batch: pa.RecordBatch) -> pa.RecordBatch:
    """NUMERIC as float: features are floats in the end, and SQL on decimals overflows."""
    arrays = [array.cast(pa.float64()) if pa.types.is_decimal(array.type) else array for array in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
