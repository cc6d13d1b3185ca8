"""Columns and rows that nobody asked for are not read."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlock.errors import InputError
from interlock.ingestion.ingest import ingest_table
from interlock.ingestion.streams import read_stream
from interlock.ingestion.time_range import TimeRange

DAYS, ROWS = 20, 500
FIRST = dt.datetime(2024, 1, 1)


def write(path: Path, kind: pa.DataType | None = None, *, lost: int | None = None) -> None:
    """A row group per day; ``lost``: the row without a time."""
    n = DAYS * ROWS
    when = [None if i == lost else FIRST + dt.timedelta(days=i // ROWS, minutes=i % ROWS) for i in range(n)]
    times = pa.array(when, pa.timestamp("us")).cast(kind or pa.timestamp("us"), safe=False)
    wide = [f"{i * 7919 % 104729:x}" * 20 for i in range(n)]
    table = pa.table({"when": times, "id": range(n), "x": [i / 7 for i in range(n)], "wide": wide})
    pq.write_table(table, path, row_group_size=ROWS)


class Counted(io.FileIO):
    """A file that knows how many bytes were read of it."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        assert found is not None
        self.read_bytes += len(found)
        return found


def read(path: Path, columns: list[str] | None = None, within: TimeRange | None = None) -> tuple[list[int], int, int]:
    """Numbers of the first row of each batch, rows and bytes read."""
    file = Counted(path)
    got = [(row, batch.num_rows) for row, batch in read_stream(str(path), lambda: file, columns=columns, within=within)]
    return [row for row, _ in got], sum(rows for _, rows in got), file.read_bytes


TWO_DAYS = TimeRange(column="when", start=FIRST + dt.timedelta(days=4), end=FIRST + dt.timedelta(days=6))


@pytest.mark.parametrize(
    "kind", [None, pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.timestamp("s", "Asia/Tokyo"), pa.date32()], ids=str
)
def test_row_groups_outside_of_the_window_are_not_read(tmp_path: Path, kind: pa.DataType | None) -> None:
    path = tmp_path / "t.parquet"
    write(path, kind)
    _, none, footer = read(path, within=TimeRange(column="when", start=FIRST + dt.timedelta(days=400)))
    _, rows, whole = read(path)
    firsts, few, some = read(path, within=TWO_DAYS)
    assert (none, rows) == (0, DAYS * ROWS)
    assert (firsts, few) == ([4 * ROWS, 5 * ROWS], 2 * ROWS)
    assert some - footer == pytest.approx((whole - footer) * 2 / DAYS, rel=0.1)
    _, _, pruned = read(path, columns=["when"], within=TWO_DAYS)
    assert pruned - footer < (some - footer) / 2


def test_the_same_rows_and_fingerprint_as_from_a_csv(config, tmp_path: Path) -> None:
    write(tmp_path / "t.parquet")
    pq.read_table(tmp_path / "t.parquet").to_pandas().to_csv(tmp_path / "t.csv", index=False)
    window = {"start": "2024-01-05T03:00:00", "end": "2024-01-06T02:00:00"}
    made = [
        ingest_table(config(source={"table": name}), **window, base=tmp_path, folder=tmp_path / name[2:])
        for name in ("t.parquet", "t.csv")
    ]
    assert made[0].sha256 == made[1].sha256
    assert made[0].rows == 320 + 120


def test_a_time_that_is_missing_is_found_and_counted_from_the_start_of_the_file(config, tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", lost=9 * ROWS + 41)
    with pytest.raises(InputError, match=rf"t\.parquet: row {9 * ROWS + 42}, column when: null"):
        ingest_table(
            config(source={"table": "t.parquet"}), start="2024-01-12", end="", base=tmp_path, folder=tmp_path / "out"
        )


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        ("TIMESTAMP", "`when` >= TIMESTAMP '2024-01-05 00:00:00+00' AND `when` < TIMESTAMP '2024-01-06 12:00:00+00'"),
        ("DATETIME", "`when` >= DATETIME '2024-01-05 00:00:00' AND `when` < DATETIME '2024-01-06 12:00:00'"),
        ("DATE", "`when` >= DATE '2024-01-05' AND `when` < DATE '2024-01-07'"),
        ("INTEGER", ""),
        ("", ""),
    ],
)
def test_the_window_as_sql(kind: str, sql: str) -> None:
    within = TimeRange(column="when", start=dt.datetime(2024, 1, 5), end=dt.datetime(2024, 1, 6, 12))
    assert within.sql(kind) == sql
    assert TimeRange(column="when").sql(kind) == ""
