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
from collections.abc import Iterator, Mapping
from pathlib import Path

from interlock.config import Csv
from interlock.errors import InputError
from interlock.ingestion.bigquery import open_bigquery
from interlock.ingestion.cloud_storage import find_objects
from interlock.ingestion.csv_files import PLAIN
from interlock.ingestion.streams import SUFFIXES, Numbered, OpenRaw, numbered, read_stream
from interlock.ingestion.time_range import TimeRange


def find_files(uri: str, base: Path) -> list[Path]:
    """Local files behind ``uri``, sorted. Relative paths start at ``base``, the folder of the config file."""
    if uri.startswith("package:"):
        return [_package_file(uri)]
    if "://" in uri:
        raise InputError(f"source {uri}: scheme not supported; give a path, package:NAME/path, gs://… or bq://…")
    path = base / Path(uri).expanduser()
    if path.is_dir():
        files = sorted(_tables(path))
        if not files:
            raise InputError(f"source {uri}: no table in {path}; it must hold {', '.join(SUFFIXES)}")
        return files
    files = sorted(Path(name) for name in glob.glob(str(path))) if glob.has_magic(uri) else [path]
    if not files or not files[0].exists():
        raise InputError(f"source {uri}: no such file (looked in {base.resolve()}); correct source.table in the config")
    return files


def _tables(folder: Path) -> Iterator[Path]:
    """Those directly in ``folder``, and in partitions of it (``month=2024-01/…``)."""
    for each in folder.iterdir():
        if each.is_dir() and "=" in each.name:
            yield from _tables(each)
        elif each.name.lower().endswith(SUFFIXES):
            yield each


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
    if uri.startswith("bq://") or uri.endswith(".sql"):
        yield uri, numbered(open_bigquery(uri, base, columns=columns, within=within))
        return
    for name, open_raw in find_objects(uri) if uri.startswith("gs://") else _opened(find_files(uri, base)):
        yield name, read_stream(name, open_raw, columns=columns, types=types, within=within, csv=csv)


def _opened(paths: list[Path]) -> Iterator[tuple[str, OpenRaw]]:
    for path in paths:
        yield str(path), _opener(path)


def _opener(path: Path) -> OpenRaw:
    return lambda: path.open("rb")
