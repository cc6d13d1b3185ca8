"""TFDV statistics of a Parquet table. Runs in the ``data`` environment only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def compute_statistics(table: Path) -> Any:
    """Statistics of every column as a ``DatasetFeatureStatisticsList``.

    Times count as whole seconds since 1970. Integers with nulls stay integers, which a pandas frame would lose.
    """
    from tensorflow_data_validation import StatsOptions
    from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory

    batch = one_batch(pq.read_table(table))
    # The label and the sampling shares are not TFDV's business: its own defaults, without the slow semantics guess.
    return generate_statistics_in_memory(batch, StatsOptions(enable_semantic_domain_stats=False))


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The table as TFDV takes it: one batch whose columns are lists of at most one value, null where missing."""
    arrays = [_as_lists(_plain(column.combine_chunks())) for column in table.columns]
    return pa.RecordBatch.from_arrays(arrays, names=table.schema.names)


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One chunk, of a type that TFDV knows."""
    if isinstance(column, pa.ChunkedArray):  # pyarrow < 11 keeps the chunks of a combined column
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
    if pa.types.is_date(column.type):
        return column.cast(pa.timestamp("s")).cast(pa.int64())
    if pa.types.is_boolean(column.type):
        return column.cast(pa.int64())
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    return column


def _as_lists(column: pa.Array) -> pa.Array:
    missing = np.asarray(column.is_null())
    if not missing.any():
        return pa.ListArray.from_arrays(pa.array(np.arange(len(column) + 1, dtype=np.int32)), column)
    ends = np.concatenate([[0], np.cumsum(~missing)]).astype(np.int32)
    # A null offset makes the list itself null: TFDV counts it as missing rather than as an empty list.
    offsets = pa.array(ends, mask=np.append(missing, False))
    return pa.ListArray.from_arrays(offsets, column.drop_null())
