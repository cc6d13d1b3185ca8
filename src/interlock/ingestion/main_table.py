"""The source's own table: columns under the config's names, and a row column where the table has no time or key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from interlock.config import Source
from interlock.errors import ConfigError
from interlock.ingestion.sources import open_source
from interlock.ingestion.streams import Numbered
from interlock.ingestion.time_range import TimeRange

# Odd, so that a row's number times this, modulo 2**32, is unique for 2**32 rows; next to 2**32 / golden ratio, so that
# any run of rows is spread evenly over the whole range: a file sorted by label is split as a shuffled one would be.
SPREAD = 2654435769


def open_main(
    source: Source, base: Path, *, columns: list[str] | None = None, within: TimeRange | None = None
) -> Iterator[tuple[str, Numbered]]:
    """As :func:`interlock.ingestion.sources.open_source`; all names are the config's."""
    wanted = None if columns is None else [source.rename.get(name, name) for name in columns if name != source.row]
    types = {source.rename.get(name, name): kind for name, kind in source.types.items()}
    asked = None
    if within is not None and not source.row:  # made rows are counted over all there are
        asked = msgspec.structs.replace(within, column=source.rename.get(within.column, within.column))
    first = 0
    for name, batches in open_source(source.table, base, columns=wanted, types=types, within=asked, csv=source.csv):

        def named(name: str = name, batches: Numbered = batches) -> Numbered:
            nonlocal first
            for before, batch in batches:
                yield before, _with_row(source, name, _renamed(source, name, batch, columns), first)
                first += batch.num_rows

        yield name, named()


def _renamed(source: Source, file: str, batch: pa.RecordBatch, columns: list[str] | None) -> pa.RecordBatch:
    if not source.rename:
        return batch
    there = batch.schema.names
    missing = [old for new, old in source.rename.items() if old not in there and (columns is None or new in columns)]
    if missing:
        raise ConfigError(f"source.rename: {missing[0]!r} is no column of {file}; there are {', '.join(there)[:400]}")
    plain = {old: new for new, old in source.rename.items()}
    return batch.rename_columns([plain.get(name, name) for name in there])


def _with_row(source: Source, file: str, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    if not source.row:
        return batch
    if source.row in batch.schema.names:
        raise ConfigError(f"source.row: {file} has a column {source.row} already; use it, or choose another name")
    numbers = np.arange(first, first + batch.num_rows, dtype=np.int64) * SPREAD % 2**32
    return batch.append_column(source.row, pa.array(numbers))
