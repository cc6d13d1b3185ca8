"""A file as numbered Arrow record batches, by the format that its name tells: Parquet, CSV, packed CSV."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import IO, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from interlock.config import Csv
from interlock.errors import InputError
from interlock.ingestion.csv_files import PLAIN, read_csv
from interlock.ingestion.time_range import TimeRange

Numbered = Iterator[tuple[int, pa.RecordBatch]]  # with the number of rows that stand before the batch in its file
OpenRaw = Callable[[], AbstractContextManager[IO[bytes]]]  # opens a stream, as often as it is called
SUFFIXES = (".csv", ".csv.zip", ".csv.gz", ".tsv", ".parquet")
BATCH_ROWS = 65536


def read_stream(
    name: str,
    open_raw: OpenRaw,
    *,
    columns: list[str] | None = None,
    types: Mapping[str, str] | None = None,
    within: TimeRange | None = None,
    csv: Csv = PLAIN,
) -> Numbered:
    """Read what can be opened as a seekable binary stream; ``name`` tells the format.

    Timestamps come out as UTC without zone, nullable integers stay integers.
    """
    lower = name.lower()
    try:
        if lower.endswith(".parquet"):
            with open_raw() as raw:
                for before, batch in _parquet(name, raw, columns, within):
                    yield before, plain_time(batch)
        elif lower.endswith((".csv", ".csv.gz", ".tsv", ".zip")):
            dialect = msgspec.structs.replace(csv, delimiter=csv.delimiter or "\t") if lower.endswith(".tsv") else csv
            yield from numbered(
                read_csv(name, lambda: _unpacked(name, open_raw), dialect=dialect, types=types, columns=columns)
            )
        else:
            raise InputError(f"{name}: unknown format; give {', '.join(SUFFIXES)}")
    except (pa.ArrowException, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read: {' '.join(str(error).split())[:300]}") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or str(error)[:300]}") from error


def numbered(batches: Iterable[pa.RecordBatch]) -> Numbered:
    """Batches that leave nothing out, times as UTC without zone."""
    before = 0
    for batch in batches:
        yield before, plain_time(batch)
        before += batch.num_rows


@contextmanager
def _unpacked(name: str, open_raw: OpenRaw) -> Iterator[IO[bytes]]:
    with open_raw() as raw:
        if name.lower().endswith(".zip"):
            with zipfile.ZipFile(raw) as archive:
                if len(archive.namelist()) != 1:
                    raise InputError(f"{name}: {len(archive.namelist())} files in it; give a zip of one CSV")
                with archive.open(archive.namelist()[0]) as stream:
                    yield stream
        elif name.lower().endswith(".gz"):
            import gzip

            with gzip.open(raw) as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            yield raw


def _parquet(name: str, raw: IO[bytes], columns: list[str] | None, within: TimeRange | None) -> Numbered:
    file = pq.ParquetFile(raw)
    missing = [column for column in columns or [] if column not in file.schema_arrow.names]
    if missing:
        has = ", ".join(file.schema_arrow.names)[:300]
        raise InputError(f"{name}: no column {', '.join(missing)}; it has {has}")
    before = 0
    for index in range(file.num_row_groups):
        group = file.metadata.row_group(index)
        if within is None or within.may_hold(group):
            row = before
            for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[index], columns=columns):
                yield row, batch
                row += batch.num_rows
        before += group.num_rows


def plain_time(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times as UTC without zone: SQL on zoned times needs a time-zone database that may not be there."""
    arrays = [array.cast(pa.timestamp("us")) if pa.types.is_timestamp(array.type) else array for array in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
