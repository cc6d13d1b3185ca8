"""Files on Cloud Storage."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from functools import partial

from interlock.errors import InputError
from interlock.ingestion.streams import SUFFIXES, OpenRaw


def find_objects(uri: str) -> Iterator[tuple[str, OpenRaw]]:
    """Name and opener of every table behind ``uri``: an object, a pattern, or a folder; sorted by name."""
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
        yield f"gs://{bucket}/{blob.name}", partial(blob.open, "rb")
