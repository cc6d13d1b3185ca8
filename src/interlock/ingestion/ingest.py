"""Stage 1, ingestion: sources named in the config become Parquet files with a fingerprint."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from interlock.config import Config
from interlock.contracts import Table, write_contract
from interlock.errors import InputError
from interlock.ingestion.checks import check_table
from interlock.ingestion.limits import require_sound
from interlock.ingestion.sources import open_source
from interlock.ingestion.table_file import Window, write_table

log = logging.getLogger(__name__)


def ingest_table(config: Config, *, start: str, end: str, base: Path, folder: Path) -> Table:
    """Read the source's rows with ``start <= time < end`` and every joined table into ``folder``.

    ``start`` and ``end`` are ISO dates or times in UTC; '' leaves that side open. The reference span, if the config
    names one, becomes ``reference.parquet``; declared SQL checks are counted into ``checks.json``. ``table.json`` is
    written last: a folder without it is unfinished.
    """
    window = parse_window(start, end, "window")
    table = _copy_main(config, base, folder / "table.parquet", window)
    joined = {}
    for join in config.source.join:
        batches = _rows(join.table, base, [*join.by, *join.columns], None, (None, None), None, {})
        joined[join.name] = write_table(join.table, batches, folder / f"{join.name}.parquet").rows
    table = msgspec.structs.replace(table, joined=joined, window_end=window[1].isoformat() if window[1] else "")
    span = config.validation.reference
    if span is not None:
        reference = _copy_main(
            config, base, folder / "reference.parquet", parse_window(span.start, span.end, "validation.reference")
        )
        table = msgspec.structs.replace(table, reference_rows=reference.rows, reference_sha256=reference.sha256)
    rules = config.validation.rules
    if rules.checks or rules.label_balance is not None:
        write_contract(check_table(config, folder / "table.parquet", table.sha256), folder / "checks.json")
    write_contract(table, folder / "table.json")
    return table


def parse_window(start: str, end: str, name: str) -> Window:
    """Both ends as times; :class:`InputError` when nothing fits between them."""
    window = (parse_time(start, "start"), parse_time(end, "end"))
    if window[0] and window[1] and window[0] >= window[1]:
        raise InputError(f"{name} [{start}, {end}) is empty: give an end after the start")
    return window


def parse_time(text: str, name: str) -> dt.datetime | None:
    """An ISO date or time as UTC without zone; None for ''."""
    if not text:
        return None
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{name}={text!r} is not a date: give for instance 2013-01-01") from error
    return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value


def _copy_main(config: Config, base: Path, target: Path, window: Window) -> Table:
    source = config.source
    needed = [source.time, *source.key]
    columns = list(dict.fromkeys([*needed, *source.columns])) if source.columns else None
    batches = _rows(source.table, base, needed, source.time, window, columns, dict(source.types))
    return write_table(source.table, batches, target, time=source.time, window=window)


def _rows(
    source: str,
    base: Path,
    needed: list[str],
    time: str | None,
    window: Window,
    columns: list[str] | None,
    types: dict[str, str],
) -> Iterator[pa.RecordBatch]:
    for name, batches in open_source(source, base, columns=columns, types=types):
        row = 0
        for batch in batches:
            require_sound(name, batch, needed, time, first_row=row)
            kept = _within(batch, time, window) if time else batch
            if row // 1_000_000 < (row + batch.num_rows) // 1_000_000:
                log.info("%s: %d million rows read", name, (row + batch.num_rows) // 1_000_000)
            row += batch.num_rows
            if kept.num_rows:
                yield kept


def _within(batch: pa.RecordBatch, time: str, window: Window) -> pa.RecordBatch:
    start, end = window
    if not start and not end:
        return batch
    column = batch.column(time)
    if pa.types.is_integer(column.type):
        raise InputError(f"time column {time} holds whole numbers: a window of dates does not apply; leave it open")
    mask = pa.array([True] * batch.num_rows)
    if start:
        mask = pc.and_(mask, pc.greater_equal(column, pa.scalar(start, column.type)))
    if end:
        mask = pc.and_(mask, pc.less(column, pa.scalar(end, column.type)))
    return batch.filter(mask)
