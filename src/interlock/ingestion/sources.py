"""Where tables come from: a URI becomes a stream of Arrow record batches.

=======================  ====================================================================
URI                      read as
=======================  ====================================================================
``path``, ``*.csv``      files or globs: ``.csv``, ``.csv.zip``, ``.csv.gz``, ``.parquet``
``package:NAME/path``    the same, inside an installed Python package (which is not imported)
=======================  ====================================================================
"""

from __future__ import annotations

import glob
import importlib.util
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from interlock.errors import InputError

BATCH_BYTES = 16 << 20
NULLS = ["", "NA", "NaN", "nan", "null", "NULL"]


def find_files(uri: str, base: Path) -> list[Path]:
    """Files behind ``uri``, sorted. Relative paths start at ``base``, the folder of the config file."""
    if uri.startswith("package:"):
        return [_package_file(uri)]
    if "://" in uri:
        raise InputError(f"source {uri}: scheme not supported; give a path, a glob or package:NAME/path")
    pattern = str(base / Path(uri).expanduser())
    files = sorted(Path(name) for name in glob.glob(pattern)) if glob.has_magic(uri) else [Path(pattern)]
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


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Stream a file. Timestamps come out as UTC without zone, nullable integers stay integers."""
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            yield from _plain_time(pq.ParquetFile(path).iter_batches(batch_size=65536))
        elif name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as stream:
                yield from _csv(stream)
        elif name.endswith((".csv", ".csv.gz", ".tsv")):
            with pa.input_stream(str(path), compression="detect") as stream:
                yield from _csv(stream, "\t" if name.endswith(".tsv") else ",")
        else:
            raise InputError(f"{path}: unknown format; give .csv, .csv.zip, .csv.gz, .tsv or .parquet")
    except (pa.ArrowInvalid, pa.ArrowException, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())[:300]}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or str(error)[:300]}") from error


def _csv(stream: IO[bytes] | Any, delimiter: str = ",") -> Iterator[pa.RecordBatch]:
    reader = csv.open_csv(
        stream,
        read_options=csv.ReadOptions(block_size=BATCH_BYTES),
        parse_options=csv.ParseOptions(delimiter=delimiter),
        convert_options=csv.ConvertOptions(null_values=NULLS, strings_can_be_null=True),
    )
    yield from _plain_time(reader)


def _plain_time(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Times as UTC without zone: SQL on zoned times needs a time-zone database that may not be there."""
    for batch in batches:
        arrays = [
            array.cast(pa.timestamp("us")) if pa.types.is_timestamp(array.type) else array for array in batch.columns
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
