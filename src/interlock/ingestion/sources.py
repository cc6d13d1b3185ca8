"""Where tables come from: a URI becomes a stream of Arrow record batches.

==============================  ======================================================================================
URI                             read as
==============================  ======================================================================================
``path``, ``*.csv``, folder     files, globs, folders, partitioned ones (``month=01/…``): CSV, zipped CSV, TSV, Parquet
``package:NAME/path``           the same, inside an installed Python package (which is not imported)
``gs://bucket/path``            the same, on Cloud Storage, globs included
``bq://project.dataset.table``  a BigQuery table
``name.sql``                    a BigQuery query, in a file
==============================  ======================================================================================
"""

from __future__ import annotations

import glob
import importlib.util
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
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


def find_files(uri: str, base: Path) -> list[Path]:
    """Local files behind ``uri``, sorted. Relative paths start at ``base``, the folder of the config file."""
    if uri.startswith("package:"):
        return [_package_file(uri)]
    if "://" in uri:
        raise InputError(f"source {uri}: scheme not supported; give a path, package:NAME/path, gs://… or bq://…")
    path = base / Path(uri).expanduser()
    if path.is_dir():
        found = (each for each in path.rglob("*") if each.name.lower().endswith(SUFFIXES))
        files = sorted(each for each in found if _is_part(each.relative_to(path)))
        if not files:
            raise InputError(f"source {uri}: no table in {path}; it must hold {', '.join(SUFFIXES)}")
        return files
    files = sorted(Path(name) for name in glob.glob(str(path))) if glob.has_magic(uri) else [path]
    if not files or not files[0].exists():
        raise InputError(f"source {uri}: no such file (looked in {base.resolve()}); correct source.table in the config")
    return files


def _is_part(path: Path) -> bool:
    """Directly in the folder, or in partitions of it (``month=2024-01/…``)."""
    return all("=" in folder for folder in path.parts[:-1])


def _package_file(uri: str) -> Path:
    package, _, inside = uri.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise InputError(f"source {uri}: package {package} is not installed; install it or give a path")
    path = Path(folders[0]) / inside
    if not path.is_file():
        raise InputError(f"source {uri}: package {package} has no file {inside}")
    return path


def open_source(
    uri: str,
    base: Path,
    *,
    columns: list[str] | None = None,
    types: Mapping[str, str] | None = None,
    within: TimeRange | None = None,
    csv: Csv = PLAIN,
) -> Iterator[tuple[str, Numbered]]:
    """Pairs of a name for messages and its batches.

    ``columns`` (None is all) and ``within`` are pushed down to the reader. Where that cannot leave rows out, as in a
    CSV, they come all the same: the caller selects.
    """
    if uri.startswith(("gs://", "bq://")) or uri.endswith(".sql"):
        from interlock.ingestion import cloud

        yield from cloud.open_source(uri, base, columns=columns, types=types, within=within, csv=csv)
        return
    for path in find_files(uri, base):
        yield str(path), read_stream(str(path), _opener(path), columns=columns, types=types, within=within, csv=csv)


def _opener(path: Path) -> OpenRaw:
    return lambda: path.open("rb")


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
