"""Tables on Google Cloud: files on Cloud Storage; BigQuery is :mod:`interlock.ingestion.bigquery`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interlock.config import Csv
from interlock.errors import InputError
from interlock.ingestion.sources import SUFFIXES, Numbered, OpenRaw, numbered, read_stream
from interlock.ingestion.time_range import TimeRange


def open_source(
    uri: str,
    base: Path,
    *,
    columns: list[str] | None,
    types: Mapping[str, str] | None,
    within: TimeRange | None,
    csv: Csv,
) -> Iterator[tuple[str, Numbered]]:
    """Pairs of a name for messages and its batches."""
    if uri.startswith("gs://"):
        for name, open_raw in _objects(uri):
            yield name, read_stream(name, open_raw, columns=columns, types=types, within=within, csv=csv)
    else:
        from interlock.ingestion.bigquery import open_bigquery

        yield uri, numbered(open_bigquery(uri, base, columns=columns, within=within))


def _objects(uri: str) -> Iterator[tuple[str, OpenRaw]]:
    from google.api_core.exceptions import GoogleAPIError
    from google.cloud import storage  # type: ignore[attr-defined]

    bucket, _, pattern = uri.removeprefix("gs://").partition("/")
    fixed = pattern.partition("*")[0].partition("?")[0].partition("[")[0]
    try:
        blobs = sorted(storage.Client().list_blobs(bucket, prefix=fixed), key=lambda blob: str(blob.name))
    except GoogleAPIError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"source {uri}: cannot be listed: {reason}; check name and rights") from error
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
        yield f"gs://{bucket}/{blob.name}", _opener(blob)


def _opener(blob: Any) -> OpenRaw:
    return lambda: blob.open("rb")
