"""Stage 1, ingestion: sources named in the config become Parquet files with a fingerprint."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from interlock.config import Config
from interlock.contracts import Column, Table, write_contract
from interlock.errors import EnvironmentProblem, InputError
from interlock.ingestion.fingerprint import Fingerprint
from interlock.ingestion.sources import find_files, read_batches

ROW_GROUP_ROWS = 65536


def ingest_table(config: Config, *, start: str, end: str, base: Path, folder: Path) -> Table:
    """Read the source's rows with ``start <= time < end`` and every joined table into ``folder``.

    ``start`` and ``end`` are ISO dates or times in UTC; '' leaves that side open. ``table.json`` is written last:
    a folder without it is unfinished.
    """
    window = (parse_time(start, "start"), parse_time(end, "end"))
    if window[0] and window[1] and window[0] >= window[1]:
        raise InputError(f"window [{start}, {end}) is empty: give an end after the start")
    files = find_files(config.source.table, base)
    needed = [config.source.time, *config.source.key]
    table = _copy(config.source.table, files, folder / "table.parquet", needed, config.source.time, window)
    joined = {}
    for join in config.source.join:
        files = find_files(join.table, base)
        copied = _copy(
            join.table, files, folder / f"{join.name}.parquet", [*join.by, *join.columns], None, (None, None)
        )
        joined[join.name] = copied.rows
    table = Table(
        source=table.source,
        rows=table.rows,
        columns=table.columns,
        sha256=table.sha256,
        time_start=table.time_start,
        time_end=table.time_end,
        joined=joined,
    )
    write_contract(table, folder / "table.json")
    return table


def parse_time(text: str, name: str) -> dt.datetime | None:
    """An ISO date or time as UTC without zone; None for ''."""
    if not text:
        return None
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{name}={text!r} is not a date: give for instance 2013-01-01") from error
    return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value


Window = tuple[dt.datetime | None, dt.datetime | None]


def _copy(source: str, files: list[Path], target: Path, needed: list[str], time: str | None, window: Window) -> Table:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    rows, writer, running = 0, None, None
    low: dt.datetime | None = None
    high: dt.datetime | None = None
    schema: pa.Schema | None = None
    try:
        for batch in _rows(files, needed, time, window):
            if writer is None or running is None:
                schema = batch.schema
                writer = pq.ParquetWriter(partial, schema, compression="zstd")
                running = Fingerprint(schema)
            elif not batch.schema.equals(schema):
                raise InputError(f"source {source}: {_difference(schema, batch.schema)}; make the files agree")
            writer.write_batch(batch, row_group_size=ROW_GROUP_ROWS)
            running.update(batch)
            rows += batch.num_rows
            if time:
                ends = pc.min_max(batch.column(time)).as_py()
                low = min(filter(None, (low, ends["min"])), default=None)
                high = max(filter(None, (high, ends["max"])), default=None)
    except OSError as error:
        if isinstance(error, pa.ArrowException):
            raise
        raise EnvironmentProblem(
            f"{target}: cannot be written: {error.strerror or error}; free space or rights"
        ) from error
    finally:
        if writer is not None:
            writer.close()
    if rows == 0 or schema is None or running is None:
        between = f" with {time} in [{window[0]}, {window[1]})" if time and any(window) else ""
        raise InputError(f"source {source}: 0 rows{between}; widen the window or correct the source")
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.rename(target)
    return Table(
        source=source,
        rows=rows,
        columns=[Column(field.name, kind_of(field.type)) for field in schema],
        sha256=running.hexdigest(),
        time_start=low.isoformat() if low else "",
        time_end=high.isoformat() if high else "",
    )


def _rows(files: list[Path], needed: list[str], time: str | None, window: Window) -> Iterator[pa.RecordBatch]:
    for path in files:
        for batch in read_batches(path):
            _require(path, batch.schema, needed, time)
            kept = _within(batch, time, window) if time else batch
            if kept.num_rows:
                yield kept


def _require(path: Path, schema: pa.Schema, needed: list[str], time: str | None) -> None:
    missing = [name for name in needed if name not in schema.names]
    if missing:
        hint = "; is the delimiter a comma?" if len(schema.names) == 1 else ""
        raise InputError(f"{path}: no column {', '.join(missing)}; it has {', '.join(schema.names)[:300]}{hint}")
    if time:
        kind = schema.field(time).type
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind)):
            raise InputError(f"{path}: time column {time} is {kind}; give ISO times, dates or whole numbers")


def _within(batch: pa.RecordBatch, time: str, window: Window) -> pa.RecordBatch:
    start, end = window
    column = batch.column(time)
    mask = pc.is_valid(column)
    if pa.types.is_integer(column.type):
        if start or end:
            raise InputError(f"time column {time} holds whole numbers: a window of dates does not apply; leave it open")
        return batch.filter(mask)
    if start:
        mask = pc.and_(mask, pc.greater_equal(column, pa.scalar(start, column.type)))
    if end:
        mask = pc.and_(mask, pc.less(column, pa.scalar(end, column.type)))
    return batch.filter(mask)


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
