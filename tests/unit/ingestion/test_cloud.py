"""Sources on Google Cloud: Cloud Storage by its emulator, BigQuery by a REST server that holds tables."""

from __future__ import annotations

import datetime as dt
import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.auth.credentials import AnonymousCredentials

from interlock.errors import InputError
from interlock.ingestion.bigquery import read_bigquery
from interlock.ingestion.ingest import ingest_table
from interlock.ingestion.sources import open_source
from interlock.ingestion.streams import numbered
from interlock.ingestion.time_range import TimeRange

FIELDS = [
    {"name": "when", "type": "TIMESTAMP"},
    {"name": "id", "type": "INTEGER"},
    {"name": "x", "type": "NUMERIC"},
    {"name": "kind", "type": "STRING"},
]
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def load(name: str) -> Any:
    """A module beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket ``lake`` on a storage emulator, which the plain client finds."""
    from gcp_storage_emulator.server import create_server
    from google.cloud import storage

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    with create_server("127.0.0.1", port, in_memory=True, default_bucket="lake"):
        yield storage.Client(project="p", credentials=AnonymousCredentials()).bucket("lake")


def rows(first: int, n: int) -> str:
    return "when,id,x,kind,y\n" + "".join(
        f"2024-01-01 {i:02d}:00:00,{i},{i / 2},a,1\n" for i in range(first, first + n)
    )


def test_object_glob_and_folder(bucket, config, tmp_path: Path) -> None:
    bucket.blob("raw/2024/a.csv").upload_from_string(rows(0, 6))
    bucket.blob("raw/2024/b.csv").upload_from_string(rows(6, 6))
    bucket.blob("raw/2024/readme.txt").upload_from_string("not a table")
    for source, expected in (
        ("gs://lake/raw/2024/b.csv", 6),
        ("gs://lake/raw/*/*.csv", 12),
        ("gs://lake/raw/2024", 12),
    ):
        table = ingest_table(config(source={"table": source}), start="", end="", base=tmp_path, folder=tmp_path / "out")
        assert table.rows == expected
    assert pq.read_table(tmp_path / "out" / "table.parquet").column("id").to_pylist() == list(range(12))


def test_parquet_columns_are_pushed_down(bucket, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "big": ["x" * 100] * 2}), tmp_path / "t.parquet")
    bucket.blob("t.parquet").upload_from_filename(tmp_path / "t.parquet")
    [(name, batches)] = open_source("gs://lake/t.parquet", tmp_path, columns=["id"])
    assert name == "gs://lake/t.parquet"
    assert [(before, batch.to_pydict()) for before, batch in batches] == [(0, {"id": [1, 2]})]


@pytest.mark.parametrize("source", ["gs://lake/none/*.csv", "gs://no-such-bucket/t.csv"])
def test_nothing_there(bucket, config, tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError, match=r"source gs://.*(no such object|cannot be listed)"):
        ingest_table(config(source={"table": source}), start="", end="", base=tmp_path, folder=tmp_path / "out")
    assert not (tmp_path / "out" / "table.json").exists()


def test_an_error_names_the_object(bucket, config, tmp_path: Path) -> None:
    bucket.blob("bad.csv").upload_from_string(b"when,id\n2024-01-01,\xff\n")
    with pytest.raises(InputError, match=r"gs://lake/bad\.csv: line 2.*not UTF-8"):
        ingest_table(
            config(source={"table": "gs://lake/bad.csv"}), start="", end="", base=tmp_path, folder=tmp_path / "out"
        )


@pytest.fixture
def bigquery_server() -> Iterator[Any]:
    """A BigQuery with the table ``d.t`` of 20 rows."""
    with load("bigquery_double").serve() as server:
        micros = [str(int((START + dt.timedelta(hours=i)).timestamp() * 1e6)) for i in range(20)]
        server.tables["d.t"] = (FIELDS, [[micros[i], str(i), f"{i}.5", None if i == 3 else "a"] for i in range(20)])
        yield server


@pytest.fixture
def client(bigquery_server) -> Any:
    from google.cloud import bigquery

    endpoint = f"http://127.0.0.1:{bigquery_server.server_address[1]}"
    return bigquery.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint})


def test_bigquery_table(client, bigquery_server, tmp_path: Path) -> None:
    table = pa.Table.from_batches(batch for _, batch in numbered(read_bigquery(client, "bq://p.d.t", tmp_path)))
    assert table.num_rows == 20
    assert [str(field.type) for field in table.schema] == ["timestamp[us]", "int64", "double", "string"]
    assert table.column("when")[5].as_py() == dt.datetime(2024, 1, 1, 5)
    assert table.column("kind").null_count == 1
    assert table.column("x")[19].as_py() == 19.5


def test_bigquery_columns_are_pushed_down(client, bigquery_server, tmp_path: Path) -> None:
    table = pa.Table.from_batches(read_bigquery(client, "bq://p.d.t", tmp_path, columns=["when", "x"]))
    assert table.schema.names == ["when", "x"]
    [asked, *_] = [path for path in bigquery_server.requests if "/data?" in path]
    assert "selectedFields=when%2Cx" in asked


def test_bigquery_query_file(client, bigquery_server, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("SELECT * FROM d.t;\n")
    bigquery_server.queries["SELECT * FROM d.t"] = "d.t"
    assert pa.Table.from_batches(read_bigquery(client, "q.sql", tmp_path)).num_rows == 20
    bigquery_server.queries["SELECT `x`, `id` FROM (\nSELECT * FROM d.t\n)"] = "d.t"
    table = pa.Table.from_batches(read_bigquery(client, "q.sql", tmp_path, columns=["x", "id"]))
    assert table.schema.names == ["x", "id"]
    assert table.column("id").to_pylist() == list(range(20))


def test_the_window_goes_around_a_query(client, bigquery_server, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("SELECT * FROM d.t -- all of it")
    bigquery_server.queries["SELECT * FROM d.t -- all of it"] = "d.t"
    asked = (
        "SELECT * FROM (\nSELECT * FROM d.t -- all of it\n) WHERE `when` >= TIMESTAMP '2024-01-01 04:00:00+00'"
        " AND `when` < TIMESTAMP '2024-01-02 00:00:00+00'"
    )
    bigquery_server.tables["d.few"] = (FIELDS, bigquery_server.tables["d.t"][1][4:])
    bigquery_server.queries[asked] = "d.few"
    within = TimeRange(column="when", start=dt.datetime(2024, 1, 1, 4), end=dt.datetime(2024, 1, 2))
    assert pa.Table.from_batches(read_bigquery(client, "q.sql", tmp_path, within=within)).num_rows == 16


@pytest.fixture
def storage() -> Iterator[Any]:
    """The Storage API with the same table, and a client of it."""
    with load("storage_double").serve() as (double, storage_client):
        double.tables["projects/p/datasets/d/tables/t"] = pa.table(
            {
                "when": [START.replace(tzinfo=None) + dt.timedelta(hours=i) for i in range(20)],
                "id": range(20),
                "x": pa.array([i + 0.5 for i in range(20)]).cast(pa.decimal128(38, 9)),
                "kind": [None if i == 3 else "a" for i in range(20)],
            }
        )
        yield double, storage_client


def test_storage_api_streams_only_columns_and_rows_asked_for(client, storage, tmp_path: Path) -> None:
    double, storage_client = storage
    whole = pa.Table.from_batches(read_bigquery(client, "bq://p.d.t", tmp_path, storage=storage_client))
    by_rest = pa.Table.from_batches(batch for _, batch in numbered(read_bigquery(client, "bq://p.d.t", tmp_path)))
    assert whole.cast(by_rest.schema).equals(by_rest)
    within = TimeRange(column="when", start=dt.datetime(2024, 1, 1, 6), end=dt.datetime(2024, 1, 1, 14))
    asked = {"columns": ["x", "when"], "within": within}
    some = pa.Table.from_batches(read_bigquery(client, "bq://p.d.t", tmp_path, storage=storage_client, **asked))
    assert some.schema.names == ["x", "when"]
    assert some.column("x").to_pylist() == pytest.approx([i + 0.5 for i in range(6, 14)])
    options = double.requests[-1].read_session.read_options
    assert list(options.selected_fields) == ["x", "when"]
    assert list(double.sent.values()) == [20, 8]


def test_storage_api_refusal(client, bigquery_server, storage, tmp_path: Path) -> None:
    bigquery_server.tables["d.hidden"] = bigquery_server.tables["d.t"]
    with pytest.raises(InputError, match=r"BigQuery refused: 404 Not found: Table .*hidden"):
        list(read_bigquery(client, "bq://p.d.hidden", tmp_path, storage=storage[1]))


@pytest.mark.parametrize(
    ("uri", "columns", "message"),
    [
        ("bq://p.d.none", None, "BigQuery refused: 404 .*Not found: Table p:d.none"),
        ("bq://d", None, "BigQuery refused"),
        ("bq://p.d.t", ["planet"], "no column planet; it has when, id, x, kind"),
        ("none.sql", None, "No such file"),
        ("bad.sql", None, "BigQuery refused: 400 .*Syntax error"),
    ],
)
def test_bigquery_refusals(client, tmp_path: Path, uri: str, columns: list[str] | None, message: str) -> None:
    (tmp_path / "bad.sql").write_text("SELEC")
    with pytest.raises(InputError, match=message):
        list(read_bigquery(client, uri, tmp_path, columns=columns))
