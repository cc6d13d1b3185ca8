"""Rows of a window of time: cut out of batches, and asked of the reader before anything is read.

A Parquet row group whose statistics show no row of the window is skipped. BigQuery gets the window as SQL.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from interlock.errors import InputError

LITERALS = {"TIMESTAMP": "TIMESTAMP '{}+00'", "DATETIME": "DATETIME '{}'", "DATE": "DATE '{}'"}


class TimeRange(msgspec.Struct, frozen=True, kw_only=True):
    """``start <= column < end``, UTC without zone; None leaves that side open."""

    column: str
    start: dt.datetime | None = None
    end: dt.datetime | None = None

    @property
    def is_open(self) -> bool:
        """Every time is inside."""
        return self.start is None and self.end is None

    def select(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of ``batch`` inside."""
        if self.is_open:
            return batch
        column = batch.column(self.column)
        if pa.types.is_integer(column.type):
            raise InputError(
                f"time column {self.column} holds whole numbers: a window of dates does not apply; leave it open"
            )
        times = column.cast(pa.timestamp("us"))
        mask = pa.array([True] * batch.num_rows)
        if self.start:
            mask = pc.and_(mask, pc.greater_equal(times, pa.scalar(self.start, times.type)))
        if self.end:
            mask = pc.and_(mask, pc.less(times, pa.scalar(self.end, times.type)))
        return batch.filter(mask)

    def may_hold(self, group: Any) -> bool:
        """Could the Parquet row group (its metadata) hold a row inside, or a null, which is an error to be found?"""
        places = [i for i in range(group.num_columns) if group.column(i).path_in_schema == self.column]
        found = group.column(places[0]).statistics if len(places) == 1 else None
        if self.is_open or found is None or not found.has_min_max or not found.has_null_count or found.null_count:
            return True
        if not isinstance(found.min, dt.date):  # a datetime is one
            return True
        low, high = _plain(found.min), _plain(found.max)
        return not ((self.start and high < self.start) or (self.end and low >= self.end))

    def sql(self, kind: str) -> str:
        """The condition in GoogleSQL for a column of BigQuery's type ``kind``; '' where it has to be cut out later."""
        if kind not in LITERALS:
            return ""
        ends = [
            f"`{self.column}` {operator} {LITERALS[kind].format(_written(kind, moment))}"
            for operator, moment in ((">=", _up(kind, self.start)), ("<", _up(kind, self.end)))
            if moment is not None
        ]
        return " AND ".join(ends)


def _plain(value: dt.date) -> dt.datetime:
    if not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day)
    return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value


def _up(kind: str, moment: dt.datetime | None) -> dt.datetime | None:
    """A day counts as its midnight, so it is at or after a later moment of that day from the next day on only."""
    if moment is None or kind != "DATE" or moment.time() == dt.time():
        return moment
    return dt.datetime(moment.year, moment.month, moment.day) + dt.timedelta(days=1)


def _written(kind: str, moment: dt.datetime) -> str:
    return moment.date().isoformat() if kind == "DATE" else moment.isoformat(" ")
