"""Arrow batches as TFDV takes them: every column a list of at most one value, null where missing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def as_examples(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times become whole seconds since 1970, booleans 0 / 1; integers with nulls stay integers."""
    arrays = [_as_lists(_plain(column)) for column in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def one_value_per_slice(batch: pa.RecordBatch, column: str) -> list[tuple[str, pa.Array]]:
    """Row numbers per value of ``column``, rows in order. A null belongs to no slice, as in TFDV."""
    encoded = batch.column(batch.schema.get_field_index(column)).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    borders = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
    return [
        (f"{column}_{value}", pa.array(order[borders[i] : borders[i + 1]]))
        for i, value in enumerate(encoded.dictionary.to_pylist())
    ]


def take(batch: pa.RecordBatch, rows: pa.Array) -> pa.RecordBatch:
    """The given rows of ``batch``."""
    return pa.RecordBatch.from_arrays([column.take(rows) for column in batch.columns], names=batch.schema.names)


def _plain(column: pa.Array) -> pa.Array:
    kind, is_a = column.type, pa.types
    if is_a.is_timestamp(kind) or is_a.is_date(kind):
        return column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
    if is_a.is_time(kind):
        return column.cast(pa.time64("us")).cast(pa.int64())
    if is_a.is_boolean(kind):
        return column.cast(pa.int64())
    if is_a.is_decimal(kind):
        return column.cast(pa.float64())
    if is_a.is_null(kind) or is_a.is_dictionary(kind):
        return column.cast(pa.string())
    return column


def _as_lists(column: pa.Array) -> pa.Array:
    if column.null_count == 0:
        return pa.ListArray.from_arrays(pa.array(np.arange(len(column) + 1, dtype=np.int32)), column)
    missing = np.asarray(column.is_null())
    ends = np.concatenate([[0], np.cumsum(~missing)]).astype(np.int32)
    # A null offset makes the list itself null: TFDV counts it as missing rather than as an empty list.
    offsets = pa.array(ends, mask=np.append(missing, False))
    return pa.ListArray.from_arrays(offsets, column.drop_null())
