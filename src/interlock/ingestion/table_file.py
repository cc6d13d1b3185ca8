"""One Parquet file written whole or not at all, with rows, columns, time range and fingerprint."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from interlock.contracts import Column, Table
from interlock.errors import EnvironmentProblem, InputError
from interlock.ingestion.fingerprint import Fingerprint

ROW_GROUP_ROWS = 65536
Window = tuple[dt.datetime | None, dt.datetime | None]


def write_table(
    source: str,
    batches: Iterable[pa.RecordBatch],
    target: Path,
    *,
    time: str | None = None,
    window: Window = (None, None),
) -> Table:
    """Write ``batches`` to ``target`` (partial file, fsync, rename); row groups of 65,536 rows.

    ``time`` and ``window`` are for the time range and for messages. No row at all is an :class:`InputError`.
    """
    partial = target.with_suffix(".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        table = _write(source, batches, partial, time)
        if table is None:
            first, last = (moment or "open" for moment in window)
            between = f" with {time} in [{first}, {last})" if time and any(window) else ""
            raise InputError(f"source {source}: 0 rows{between}; widen the window or correct the source")
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(target)
    except OSError as error:
        if isinstance(error, pa.ArrowException):
            raise
        reason = error.strerror or str(error)
        raise EnvironmentProblem(f"{target}: cannot be written: {reason}; free space or rights") from error
    finally:
        with contextlib.suppress(OSError):  # the folder may be what is wrong
            partial.unlink(missing_ok=True)
    return table


def _write(source: str, batches: Iterable[pa.RecordBatch], partial: Path, time: str | None) -> Table | None:
    writer: pq.ParquetWriter | None = None
    waiting: list[pa.RecordBatch] = []
    rows = 0
    low: dt.datetime | None = None
    high: dt.datetime | None = None
    running: Fingerprint | None = None
    schema: pa.Schema | None = None
    try:
        for batch in batches:
            if writer is None or running is None:
                schema = batch.schema
                writer = pq.ParquetWriter(partial, schema, compression="zstd")
                running = Fingerprint(schema)
            elif not batch.schema.equals(schema):
                raise InputError(f"source {source}: {_difference(schema, batch.schema)}; make the files agree")
            running.update(batch)
            rows += batch.num_rows
            if time and pa.types.is_temporal(batch.schema.field(time).type):
                ends = pc.min_max(batch.column(time)).as_py()
                low = min(filter(None, (low, _moment(ends["min"]))), default=None)
                high = max(filter(None, (high, _moment(ends["max"]))), default=None)
            waiting.append(batch)
            waiting = _flush(writer, waiting, whole=False)
        if writer is not None:
            _flush(writer, waiting, whole=True)
    finally:
        if writer is not None:
            writer.close()
    if schema is None or running is None:
        return None
    return Table(
        source=source,
        rows=rows,
        columns=[Column(field.name, kind_of(field.type)) for field in schema],
        sha256=running.hexdigest(),
        time_start=low.isoformat() if low else "",
        time_end=high.isoformat() if high else "",
    )


def _flush(writer: pq.ParquetWriter, waiting: list[pa.RecordBatch], *, whole: bool) -> list[pa.RecordBatch]:
    """Write full row groups, all of the same size; give back the rest."""
    have = sum(batch.num_rows for batch in waiting)
    full = have if whole else have - have % ROW_GROUP_ROWS
    if full == 0:
        return waiting
    table = pa.Table.from_batches(waiting)
    writer.write_table(table.slice(0, full), row_group_size=ROW_GROUP_ROWS)
    rest: list[pa.RecordBatch] = table.slice(full).to_batches()
    return rest


def _moment(value: dt.datetime | dt.date | None) -> dt.datetime | None:
    if value is None or isinstance(value, dt.datetime):
        return value
    return dt.datetime(value.year, value.month, value.day)


def _difference(first: pa.Schema | None, second: pa.Schema) -> str:
    assert first is not None
    changed = [f"{f.name} is {f.type}" for f in second if f not in list(first)][:3]
    return f"columns change within the source ({', '.join(changed) or 'order differs'})"


def kind_of(kind: pa.DataType) -> str:
    """Contract name of an Arrow type."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_temporal(kind):
        return "time"
    return "category"
