"""Stage 1, ingestion: sources named in the config become Parquet files with a fingerprint."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa

from interlock.config import Config, ServedRows, Span
from interlock.contracts import Table, write_contract
from interlock.errors import InputError
from interlock.ingestion.checks import check_table
from interlock.ingestion.limits import require_sound
from interlock.ingestion.main_table import open_main
from interlock.ingestion.sources import open_source
from interlock.ingestion.streams import Numbered
from interlock.ingestion.table_file import Window, write_table
from interlock.ingestion.time_range import TimeRange
from interlock.progress import Say, silent


def ingest_table(config: Config, *, start: str, end: str, base: Path, folder: Path, say: Say = silent) -> Table:
    """Read the source's rows with ``start <= time < end`` and every joined table into ``folder``.

    ``start`` and ``end`` are ISO dates or times in UTC; '' leaves that side open. The reference span, if the config
    names one, becomes ``reference.parquet``, served rows ``serving.parquet``; declared SQL checks are counted into
    ``checks.json``. ``table.json`` is written last: a folder without it is unfinished. ``say`` hears how far it is.
    """
    window = parse_window(start, end, "window")
    table = _copy_main(config, base, folder / "table.parquet", window, say)
    joined = {}
    for join in config.source.join:
        needed = list(dict.fromkeys([*join.by, *join.columns]))
        batches = copy_rows(open_source(join.table, base, columns=needed), needed, None, say)
        joined[join.name] = write_table(join.table, batches, folder / f"{join.name}.parquet").rows
    table = msgspec.structs.replace(table, joined=joined, window_end=window[1].isoformat() if window[1] else "")
    if config.validation.reference is not None:
        reference = _copy_reference(config, config.validation.reference, base, folder, window, say)
        table = msgspec.structs.replace(table, reference_rows=reference.rows, reference_sha256=reference.sha256)
    if config.validation.serving is not None:
        served = _copy_served(config.validation.serving, base, folder / "serving.parquet", say)
        table = msgspec.structs.replace(table, serving_rows=served.rows, serving_sha256=served.sha256)
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


def _copy_main(config: Config, base: Path, target: Path, window: Window, say: Say) -> Table:
    source = config.source
    needed = [source.time, *source.key]
    columns = list(dict.fromkeys([*needed, *source.columns])) if source.columns else None
    within = TimeRange(column=source.time, start=window[0], end=window[1])
    batches = copy_rows(open_main(source, base, columns=columns, within=within), needed, within, say)
    return write_table(source.table, batches, target, time=source.time, window=window)


def _copy_reference(config: Config, span: Span, base: Path, folder: Path, window: Window, say: Say) -> Table:
    wanted, target = parse_window(span.start, span.end, "validation.reference"), folder / "reference.parquet"
    if not _contains(window, wanted):
        return _copy_main(config, base, target, wanted, say)
    # Its rows were just written: the source need not be read again.
    within = TimeRange(column=config.source.time, start=wanted[0], end=wanted[1])
    batches = copy_rows(open_source("table.parquet", folder, within=within), [config.source.time], within, say)
    return write_table(config.source.table, batches, target, time=config.source.time, window=wanted)


def _contains(outer: Window, inner: Window) -> bool:
    starts_after = outer[0] is None or (inner[0] is not None and inner[0] >= outer[0])
    return starts_after and (outer[1] is None or (inner[1] is not None and inner[1] <= outer[1]))


def _copy_served(served: ServedRows, base: Path, target: Path, say: Say) -> Table:
    window = parse_window(served.start, served.end, "validation.serving")
    within = TimeRange(column=served.time, start=window[0], end=window[1])
    batches = copy_rows(open_source(served.table, base, within=within), [served.time], within, say)
    return write_table(served.table, batches, target, time=served.time, window=window)


def copy_rows(
    source: Iterator[tuple[str, Numbered]], needed: list[str], within: TimeRange | None, say: Say
) -> Iterator[pa.RecordBatch]:
    """Sound batches with the rows that are ``within``, and a word about each that was read."""
    for name, batches in source:
        for row, batch in batches:
            require_sound(name, batch, needed, within.column if within else None, first_row=row)
            kept = within.select(batch) if within else batch
            say(f"reading {name}: {row + batch.num_rows:,} rows")
            if kept.num_rows:
                yield kept
