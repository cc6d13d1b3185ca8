"""Bad tables get one clear error with file, row, column and next step; nothing is written as if it were good."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlock.errors import ConfigError, InputError

HEADER = "when,id,x,kind,y\n"


def rows(n: int) -> str:
    return "".join(
        f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00:00,{i},{i / 2},{'ab'[i % 2]},{i % 3 - 1}\n" for i in range(n)
    )


LONG = "2024-01-03 12:00:00,60,1.5," + "z" * (2 << 20) + ",1\n"
BLANK = "2024-01-03 12:00:00,60,1.5," + '"' + "z" * (50 << 20) + '",1\n'

CASES: dict[str, tuple[str | bytes, dict[str, object], str]] = {
    "empty file": ("", {}, r"t\.csv.*[Ee]mpty"),
    "header only": (HEADER, {}, "0 rows"),
    "empty span": (HEADER + rows(30), {"start": "2025-01-01"}, r"0 rows with when in .*widen the window"),
    "window backwards": (HEADER + rows(3), {"start": "2025-01-01", "end": "2024-01-01"}, "is empty: give an end"),
    "not a date": (HEADER + rows(3), {"start": "soon"}, "'soon' is not a date"),
    "wrong delimiter": ((HEADER + rows(30)).replace(",", "#"), {}, "no column when, id.*source.csv.delimiter"),
    "renamed to what is not there": (
        HEADER + rows(3),
        {"source": {"rename": {"id": "Customer ID"}}},
        "source.rename: 'Customer ID' is no column of .*t.csv; there are when, id",
    ),
    "row column there already": (HEADER + rows(3), {"source": {"row": "x"}}, "source.row: .*has a column x already"),
    "key missing": (HEADER.replace("id", "ix") + rows(30), {}, "no column id; it has when, ix"),
    "time is text": (HEADER + rows(30).replace("2024-", "y2024-"), {}, "time column when is string"),
    "invalid UTF-8": (
        (HEADER + rows(30)).encode().replace(b",a,", b",\xff\xfe,", 1),
        {},
        "line 2.*column kind: not UTF-8",
    ),
    "columns twice": (HEADER.replace("kind", "x") + rows(30), {}, "column x appears twice; rename"),
    "null time": (HEADER + rows(30) + ",99,1.5,a,1\n", {}, "row 31, column when: null"),
    "long cell": (HEADER + rows(60) + LONG, {}, "row 61, column kind: 2097152 bytes in one cell > 1048576"),
    "50 MB cell": (HEADER + rows(60) + BLANK, {}, r"t\.csv: a row is longer than 16 MB"),
    "ragged": (HEADER + rows(30) + "1,2\n", {}, "as many values as the header"),
    "unknown format": ("x", {"name": "t.xlsx"}, "unknown format; give"),
    "broken zip": ("x", {"name": "t.csv.zip"}, "cannot be read"),
    "broken Parquet": ("PAR1 not really", {"name": "t.parquet"}, r"t\.parquet: cannot be read"),
    "pruned to nothing": (HEADER + rows(30), {"source": {"columns": ["planet"]}}, "planet.*source.columns"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(ingest, tmp_path: Path, case: str) -> None:
    text, options, message = CASES[case]
    with pytest.raises((ConfigError, InputError), match=message) as caught:
        ingest(text, **options)
    assert "\n" not in str(caught.value)
    out = tmp_path / "out"
    assert not out.exists() or list(out.iterdir()) == []


def test_mixed_types_name_row_and_value(ingest) -> None:
    """The first 16 MB look like numbers; what comes later does not."""
    wide = "w" * 400
    lines = "".join(f"2024-01-01 00:00:00,{i},{i / 2},{wide},1\n" for i in range(60_000))
    with pytest.raises(InputError, match=r"t\.csv: row 50001, column x: 'hello' is not double.*source.types"):
        ingest(HEADER + lines.replace(",50000,25000.0,", ",50000,hello,"))


def test_too_many_columns(ingest) -> None:
    names = [f"c{i}" for i in range(10_000)]
    text = "when,id," + ",".join(names) + "\n2024-01-01 00:00:00,1," + ",".join("1" * 10_000) + "\n"
    with pytest.raises(InputError, match=r"10002 columns > 2000 allowed; name the ones you need"):
        ingest(text)
    table = ingest(text, source={"columns": ["c7"]})
    assert [column.name for column in table.columns] == ["when", "id", "c7"]


def test_files_that_disagree(ingest, config, tmp_path: Path) -> None:
    from interlock.ingestion.ingest import ingest_table

    pq.write_table(pa.table({"when": [1], "id": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"when": [2], "id": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"columns change within the source .id is string"):
        ingest_table(config(source={"table": "*.parquet"}), start="", end="", base=tmp_path, folder=tmp_path / "out")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.csv", "no such file"),
        ("package:no_such_package/x.csv", "is not installed"),
        ("package:interlock/x.csv", "has no file x.csv"),
        ("ftp://host/x.csv", "scheme not supported"),
    ],
)
def test_missing_sources(config, tmp_path: Path, source: str, message: str) -> None:
    from interlock.ingestion.ingest import ingest_table

    with pytest.raises(InputError, match=message):
        ingest_table(config(source={"table": source}), start="", end="", base=tmp_path, folder=tmp_path / "out")
