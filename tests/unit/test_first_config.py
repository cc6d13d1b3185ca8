"""`interlock init`: what it reads off a table, and that what it writes is a config that ingestion takes."""

from __future__ import annotations

import datetime
import random
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from interlock.cli import app
from interlock.config import Config, load_config
from interlock.errors import ConfigError, InputError, InterlockError
from interlock.features.build import query_rows
from interlock.ingestion.ingest import ingest_table
from interlock.ingestion.preflight import require_columns

ROWS = 300


def ugly(folder: Path) -> None:
    random.seed(1)
    lines = ['Customer ID;"Signed ""Up""";Charges ($);Total;Calls;Plan;Comment;Last bill;Churned?']
    for i in range(ROWS):
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=i)
        churned = random.random() < 0.3
        lines.append(
            f"C-{i};{day:%d/%m/%Y};{random.random():.2f};{1000 * (i + 1):,}.50;{random.choice('-123')};"
            f"{random.choice('ab')};text {i};{int(churned)};{'yes' if churned else 'no'}"
        )
    (folder / "Customers 2024.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def init(folder: Path, *arguments: str) -> Config:
    done = CliRunner().invoke(app, ["init", *arguments, "-c", str(folder / "config.yaml")])
    if isinstance(done.exception, InterlockError):
        raise done.exception
    assert done.exit_code == 0, done.output
    assert "interlock schema infer -c" in done.output
    return load_config(folder / "config.yaml")


def rows_of(config: Config, folder: Path) -> pd.DataFrame:
    require_columns(config, base=folder, file="config.yaml")
    ingest_table(config, start="", end="", base=folder, folder=folder / "out")
    return query_rows(config, folder / "out").to_pandas()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_ugly_csv(here: Path) -> None:
    ugly(here)
    config = init(here, "Customers 2024.csv", "--label", "Churned?")
    assert (config.name, config.task) == ("customers-2024", "binary")
    assert (config.source.time, config.source.key) == ("signed_up", ["customer_id"])
    assert (config.source.csv.times, config.source.csv.nulls) == ("%d/%m/%Y", ["-"])
    assert config.features.numbers == ["charges", "Total_number", "Calls"]
    assert config.features.categories == ["Plan"]
    text = (here / "config.yaml").read_text()
    assert "left out: Comment: text with 300 different values" in text
    assert "left out: last_bill: orders the rows as the label does" in text
    rows = rows_of(config, here)
    assert len(rows) == ROWS
    assert rows["Total_number"].max() == 300_000.5
    assert rows["Calls"].isna().any()
    assert set(rows["label"]) == {0, 1}


def test_classes_without_a_time(here: Path) -> None:
    """Sorted by label, as people's tables are: every split has every class all the same."""
    table = pd.DataFrame({"x": [i % 7 / 2 for i in range(150)], "kind": [kind for kind in "abc" for _ in range(50)]})
    table.to_parquet(here / "kinds.parquet")
    config = init(here, "kinds.parquet", "--label", "kind")
    assert (config.task, config.label.classes) == ("multiclass", ["a", "b", "c"])
    assert (config.source.time, config.source.key, config.source.row) == ("row", ["row"], "row")
    rows = rows_of(config, here)
    assert set(rows["label"][-30:]) == {"a", "b", "c"}


def test_numbers_and_a_small_table(here: Path) -> None:
    pd.DataFrame({"x": [i % 11 / 3 for i in range(200)], "y": [i * 0.37 for i in range(200)]}).to_csv(
        "t.csv", index=False
    )
    config = init(here, "t.csv", "--label", "y")
    assert config.task == "regression"
    assert config.gates.metrics[0].minimum_rows == 32
    assert rows_of(config, here)["label"].max() == pytest.approx(199 * 0.37)


def test_partitions_time_and_a_key_of_two(here: Path) -> None:
    hours = pd.date_range("2024-01-01", periods=200, freq="h")
    table = pd.DataFrame({"ts": hours.repeat(2), "site": ["a", "b"] * 200, "load": [i % 13 for i in range(400)]})
    table["late"], table["month"] = [i % 3 == 0 for i in range(400)], table["ts"].dt.strftime("%Y-%m-%d")
    table.to_parquet(here / "ops", partition_cols=["month"])
    config = init(here, "ops", "--label", "late")
    assert (config.source.time, config.source.key) == ("ts", ["ts", "site"])
    assert config.features.categories == ["site"]
    assert rows_of(config, here)["label"].sum() == 134


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["t.csv", "--label", "churn"], InputError, "'churn' is not a column; there are x, Total y"),
        (["t.csv", "--label", "x"], InputError, "1 different values"),
        (["none.csv", "--label", "x"], InputError, "no such file"),
        (["t.csv", "--label", "Total y", "--task", "ranking"], InputError, "there are binary, multiclass, regression"),
    ],
)
def test_refused(here: Path, arguments: list[str], kind: type[InterlockError], message: str) -> None:
    (here / "t.csv").write_text("x,Total y\n1,2\n1,3\n")
    with pytest.raises(kind, match=message):
        init(here, *arguments)
    assert not (here / "config.yaml").exists()


def test_a_file_that_exists_stays(here: Path) -> None:
    (here / "t.csv").write_text("x,y\n1,2\n4,3\n")
    (here / "config.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="exists: name another file with --config, or --force"):
        init(here, "t.csv", "--label", "y")
    assert (here / "config.yaml").read_text() == "mine"
