"""Tables as people have them: other delimiters, names with spaces, local dates, dashes for nothing, no time at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlock.contracts import Table
from interlock.errors import InputError
from interlock.ingestion.preflight import require_columns

UGLY = '''Customer ID;"Signed ""Up""";Charges ($);Calls;Churned?
C-1;13/01/2024;1,50;-;yes
C-2;14/02/2024;2,25;3;no
C-3;01/03/2024;0,75;NA;no
'''
NAMES = {"id": "Customer ID", "when": 'Signed "Up"', "charges": "Charges ($)", "calls": "Calls"}
SOURCE = {"rename": NAMES, "csv": {"nulls": ["-"], "times": "%d/%m/%Y", "decimal": ","}}


def read(tmp_path: Path) -> pa.Table:
    return pq.read_table(tmp_path / "out" / "table.parquet")


def test_an_ugly_table_is_read_as_it_is_meant(ingest, tmp_path: Path) -> None:
    table: Table = ingest(UGLY, start="2024-02-01", source=SOURCE)
    rows = read(tmp_path)
    assert (table.rows, table.time_start) == (2, "2024-02-14T00:00:00")
    assert rows.column("charges").to_pylist() == [2.25, 0.75]
    assert rows.column("calls").to_pylist() == [3, None]
    assert rows.column("Churned?").to_pylist() == ["no", "no"]


def test_only_what_is_named_is_read_under_its_new_name(ingest, tmp_path: Path) -> None:
    ingest(UGLY, source={**SOURCE, "columns": ["charges"], "types": {"charges": "string"}})
    assert read(tmp_path).schema.names == ["when", "id", "charges"]
    assert read(tmp_path).column("charges").to_pylist() == ["1,50", "2,25", "0,75"]


def test_a_date_of_another_form_says_how_to_go_on(ingest) -> None:
    source = {**SOURCE, "csv": {"nulls": ["-"], "decimal": ","}}
    with pytest.raises(InputError, match=r"time column when is string.*source\.csv\.times"):
        ingest(UGLY, source=source)
    with pytest.raises(InputError, match=r"row 1, column Signed.*'13/01/2024' is not timestamp.*source\.csv\.times"):
        ingest(UGLY, source={**source, "types": {"when": "time"}})


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_shows_the_delimiter(ingest, tmp_path: Path, delimiter: str) -> None:
    ingest(delimiter.join(["when", "id", '"x,y"']) + "\n" + delimiter.join(["2024-01-01", "7", "1"]) + "\n")
    assert read(tmp_path).schema.names == ["when", "id", "x,y"]


def test_a_table_without_time_gets_rows_spread_over_the_file(ingest, tmp_path: Path) -> None:
    """A file sorted by label must not end as a test split of one label."""
    text = "y\n" + "".join(f"{int(i >= 500)}\n" for i in range(1000))
    ingest(text, source={"row": "row", "time": "row", "key": ["row"]})
    rows = read(tmp_path).sort_by("row")
    assert len(set(rows.column("row").to_pylist())) == 1000
    assert np.asarray(rows.column("y"))[-200:].mean() == pytest.approx(0.5, abs=0.02)


def test_rows_go_on_from_file_to_file(ingest, tmp_path: Path) -> None:
    for month in ("01", "02"):
        folder = tmp_path / "lake" / f"month={month}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"y": [1, 2]}), folder / "part-0.parquet")
    (tmp_path / "lake" / "old").mkdir()
    pq.write_table(pa.table({"z": [1]}), tmp_path / "lake" / "old" / "part-0.parquet")
    table = ingest("", name="unused.csv", source={"table": "lake", "row": "row", "time": "row", "key": ["row"]})
    assert table.rows == 4
    assert len(set(read(tmp_path).column("row").to_pylist())) == 4


def test_the_first_look_knows_new_names_and_the_row_column(config, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Kind of;x;y\na;1;0\n")
    source = {"rename": {"kind": "Kind of"}, "row": "row", "time": "row", "key": ["row"]}
    require_columns(config(source=source), base=tmp_path, file="config.yaml")
