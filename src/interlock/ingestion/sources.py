"""Where tables come from: a URI becomes a stream of Arrow record batches.

==============================  =======================================================================
URI                             read as
==============================  =======================================================================
``path``, ``*.csv``, folder     files, globs, folders: ``.csv``, ``.csv.zip``, ``.csv.gz``, ``.tsv``, ``.parquet``
``package:NAME/path``           the same, inside an installed Python package (which is not imported)
``gs://bucket/path``            the same, on Cloud Storage, globs included
``bq://project.dataset.table``  a BigQuery table
``name.sql``                    a BigQuery query, in a file
==============================  =======================================================================
"""

from __future__ import annotations

import glob
import importlib.util
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from interlock.errors import InputError
from interlock.ingestion.csv_files import read_csv

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
        files = sorted(each for each in path.iterdir() if each.name.lower().endswith(SUFFIXES))
        if not files:
            raise InputError(f"source {uri}: no table in {path}; it must hold {', '.join(SUFFIXES)}")
        return files
    files = sorted(Path(name) for name in glob.glob(str(path))) if glob.has_magic(uri) else [path]
    if not files or not files[0].exists():
        raise InputError(f"source {uri}: no such file (looked in {base.resolve()}); correct source.table in the config")
    return files


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
    uri: str, base: Path, *, columns: list[str] | None = None, types: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    """Pairs of a name for messages and its batches. ``columns`` are pushed down to the reader; None is all."""
    if uri.startswith(("gs://", "bq://")) or uri.endswith(".sql"):
        from interlock.ingestion import cloud

        yield from cloud.open_source(uri, base, columns=columns, types=types)
        return
    for path in find_files(uri, base):
        yield str(path), read_batches(path, columns=columns, types=types)


def read_batches(
    path: Path, *, columns: list[str] | None = None, types: Mapping[str, str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Stream a file. Timestamps come out as UTC without zone, nullable integers stay integers."""
    return read_stream(str(path), lambda: path.open("rb"), columns=columns, types=types)


def read_stream(
    name: str, open_raw: OpenRaw, *, columns: list[str] | None = None, types: Mapping[str, str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The same for anything that can be opened as a seekable binary stream; ``name`` tells the format."""
    lower = name.lower()
    try:
        if lower.endswith(".parquet"):
            with open_raw() as raw:
                yield from plain_time(_parquet(name, raw, columns))
        elif lower.endswith((".csv", ".csv.gz", ".tsv", ".zip")):
            delimiter = "\t" if lower.endswith(".tsv") else ","
            yield from plain_time(
                read_csv(name, lambda: _unpacked(name, open_raw), delimiter=delimiter, types=types, columns=columns)
            )
        else:
            raise InputError(f"{name}: unknown format; give {', '.join(SUFFIXES)}")
    except (pa.ArrowException, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read: {' '.join(str(error).split())[:300]}") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or str(error)[:300]}") from error


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


def _parquet(name: str, raw: IO[bytes], columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    file = pq.ParquetFile(raw)
    missing = [column for column in columns or [] if column not in file.schema_arrow.names]
    if missing:
        has = ", ".join(file.schema_arrow.names)[:300]
        raise InputError(f"{name}: no column {', '.join(missing)}; it has {has}")
    yield from file.iter_batches(batch_size=BATCH_ROWS, columns=columns)


def plain_time(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Times as UTC without zone: SQL on zoned times needs a time-zone database that may not be there."""
    for batch in batches:
        arrays = [
            array.cast(pa.timestamp("us")) if pa.types.is_timestamp(array.type) else array for array in batch.columns
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
