"""What comes out of ingestion, and that nothing half-written looks complete."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlock.contracts import Table, TableChecks, read_contract
from interlock.errors import ConfigError, EnvironmentProblem, InputError
from interlock.ingestion.ingest import ingest_table
from interlock.ingestion.table_file import ROW_GROUP_ROWS, write_table

HEADER = "when,id,x,kind,y\n"


def rows(n: int) -> str:
    return "".join(
        f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00:00,{i},{i / 2},{'ab'[i % 2]},{i % 3 - 1}\n" for i in range(n)
    )


def test_window_is_half_open_and_described(ingest, tmp_path: Path) -> None:
    table = ingest(HEADER + rows(72), start="2024-01-02", end="2024-01-03")
    assert table.rows == 24
    assert (table.time_start, table.time_end) == ("2024-01-02T00:00:00", "2024-01-02T23:00:00")
    assert table.window_end == "2024-01-03T00:00:00"
    assert read_contract(tmp_path / "out" / "table.json", Table) == table
    assert {column.name: column.kind for column in table.columns} == {
        "when": "time", "id": "number", "x": "number", "kind": "category", "y": "number",
    }  # fmt: skip


def test_same_values_same_fingerprint_whatever_the_file(ingest, tmp_path: Path) -> None:
    text = HEADER + rows(50)
    plain = ingest(text)
    assert ingest(gzip.compress(text.encode()), name="t.csv.gz").sha256 == plain.sha256
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.writestr("t.csv", text)
    assert ingest((tmp_path / "made.zip").read_bytes(), name="t.csv.zip").sha256 == plain.sha256
    written = pq.read_table(tmp_path / "out" / "table.parquet")
    pq.write_table(written, tmp_path / "again.parquet", row_group_size=7)
    assert ingest((tmp_path / "again.parquet").read_bytes(), name="again.parquet").sha256 == plain.sha256
    assert ingest(text.replace(",a,", ",c,", 1)).sha256 != plain.sha256


def test_glob_and_folder_are_read_in_order(ingest, config, tmp_path: Path) -> None:
    whole = ingest(HEADER + rows(40))
    lines = rows(40).splitlines(keepends=True)
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "a.csv").write_text(HEADER + "".join(lines[:15]))
    (folder / "b.csv").write_text(HEADER + "".join(lines[15:]))
    for source in ("parts", "parts/*.csv"):
        again = ingest_table(
            config(source={"table": source}), start="", end="", base=tmp_path, folder=tmp_path / "again"
        )
        assert again.sha256 == whole.sha256


def test_only_named_columns_are_kept(ingest) -> None:
    table = ingest(HEADER + rows(30), source={"columns": ["x", "y"]})
    assert [column.name for column in table.columns] == ["when", "id", "x", "y"]


def test_declared_type_wins(ingest) -> None:
    table = ingest(HEADER + rows(30), source={"types": {"id": "string"}})
    assert next(column.kind for column in table.columns if column.name == "id") == "category"


def test_row_groups_have_one_size(tmp_path: Path) -> None:
    batches = [pa.record_batch({"x": list(range(40_000))}) for _ in range(5)]
    write_table("made", batches, tmp_path / "t.parquet")
    with pq.ParquetFile(tmp_path / "t.parquet") as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sizes == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, ROW_GROUP_ROWS, 200_000 - 3 * ROW_GROUP_ROWS]


def test_a_failing_source_leaves_no_file(ingest, tmp_path: Path) -> None:
    def broken():
        yield pa.record_batch({"x": [1.0]})
        raise InputError("the source broke")

    with pytest.raises(InputError, match="broke"):
        write_table("made", broken(), tmp_path / "out" / "table.parquet")
    assert list((tmp_path / "out").iterdir()) == []


def test_unwritable_folder(ingest, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        ingest(HEADER + rows(30))


def test_reference_span_and_checks(ingest, tmp_path: Path) -> None:
    table = ingest(
        HEADER + rows(96),
        start="2024-01-03",
        validation={
            "reference": {"start": "2024-01-01", "end": "2024-01-03"},
            "rules": {"label_balance": [0.1, 0.9], "checks": [{"name": "halves", "sql": "x < 40"}]},
        },
    )
    assert (table.rows, table.reference_rows) == (48, 48)
    assert pq.read_table(tmp_path / "out" / "reference.parquet").column("id")[0].as_py() == 0
    checks = read_contract(tmp_path / "out" / "checks.json", TableChecks)
    assert checks.results[0].broken == 16
    assert checks.results[0].rows[0] == {"id": "80"}
    assert (checks.labelled, checks.positives) == (48, 16)


def test_a_reference_inside_of_the_window_is_cut_out_of_the_table(ingest, tmp_path: Path) -> None:
    reference = {"reference": {"start": "2024-01-02", "end": "2024-01-03"}}
    inside = ingest(HEADER + rows(96), validation=reference)
    outside = ingest(HEADER + rows(96), start="2024-01-03", validation=reference)
    assert (inside.reference_rows, outside.reference_rows) == (24, 24)
    assert inside.reference_sha256 == outside.reference_sha256


def test_served_rows_stand_beside_the_table(ingest, tmp_path: Path) -> None:
    (tmp_path / "served.csv").write_text("at,x,kind\n" + "".join(f"2024-02-0{1 + i},{i},a\n" for i in range(6)))
    serving = {"table": "served.csv", "time": "at", "start": "2024-02-03"}
    table = ingest(HEADER + rows(30), validation={"serving": serving})
    assert table.serving_rows == 4
    assert pq.read_table(tmp_path / "out" / "serving.parquet").column("x").to_pylist() == [2, 3, 4, 5]
    with pytest.raises(InputError, match=r"source served\.csv: 0 rows with at in"):
        ingest(HEADER + rows(30), validation={"serving": {**serving, "start": "2025-01-01"}})


def test_a_check_that_is_not_sql(ingest, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"checks: wrong.*no_such_column"):
        ingest(HEADER + rows(30), validation={"rules": {"checks": [{"name": "wrong", "sql": "no_such_column > 1"}]}})
    assert not (tmp_path / "out" / "table.json").exists()
