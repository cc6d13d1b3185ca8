"""A fingerprint of a table's values that does not depend on how the file cuts them into row groups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Fingerprint:
    """Feed batches in row order, then read :meth:`hexdigest`.

    Per column: one running SHA-256 over the null mask, one over the values (nulls as zero or ''), and for text
    one over the lengths. Running hashes make the result independent of batch borders.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._hashes = {field.name: [hashlib.sha256() for _ in range(3)] for field in schema}

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the next rows."""
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            nulls, values, lengths = self._hashes[name]
            nulls.update(array.is_null().to_numpy(zero_copy_only=False).tobytes())
            if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
                filled = pc.fill_null(array, "")
                lengths.update(pc.binary_length(filled).to_numpy(zero_copy_only=False).astype(np.int64).tobytes())
                values.update(_text(filled))
            else:
                values.update(_numbers(array))

    def hexdigest(self) -> str:
        """SHA-256 over names, types and column hashes."""
        total = hashlib.sha256()
        for field in self._schema:
            parts = ":".join(part.hexdigest() for part in self._hashes[field.name])
            total.update(f"{field.name}|{field.type}|{parts}\n".encode())
        return total.hexdigest()


def _text(array: pa.Array) -> memoryview:
    """The bytes of all values behind each other, without a copy."""
    offsets = np.frombuffer(array.buffers()[1], np.int64 if pa.types.is_large_string(array.type) else np.int32)
    data = array.buffers()[2]
    if data is None:
        return memoryview(b"")
    start, end = offsets[array.offset], offsets[array.offset + len(array)]
    return memoryview(data)[int(start) : int(end)]


def _numbers(array: pa.Array) -> bytes:
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    if pa.types.is_null(array.type):
        return b""
    zero = pa.scalar(0, array.type) if not pa.types.is_boolean(array.type) else pa.scalar(False)
    return bytes(pc.fill_null(array, zero).to_numpy(zero_copy_only=False).tobytes())


def fingerprint(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> str:
    """Fingerprint of all ``batches``."""
    running = Fingerprint(schema)
    for batch in batches:
        running.update(batch)
    return running.hexdigest()
