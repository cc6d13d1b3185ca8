"""Anomalies name feature, rule, value, limit and rows; severities and waivers decide what blocks."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from interlock.config import Config, parse_config
from interlock.contracts import Anomaly, Column, SqlResult, Table, TableChecks, write_contract
from interlock.errors import ConfigError, ContractError
from interlock.validation.rules import freshness, from_sql, repeated_keys, row_count, wilson_upper
from interlock.validation.waivers import weigh

CONFIG = """
name: small
source: {table: t.csv, time: when, key: [id]}
label: {name: late, sql: y > 0}
features: {numbers: [x, empty], categories: [kind]}
cost: {false_positive: 1, false_negative: 5}
gates:
  metrics: [{metric: auc, at_least: 0.5}]
  regression: [{metric: auc, within: 0.1}]
  latency_p99_ms: 50
  size_megabytes: 20
metrics: [{name: cost, value: cost, role: business, cap: 5}]
strategy: {steps: [{weight: 5, margin: 0.5}]}
"""

SCHEMA = """
feature { name: "when" type: INT presence { min_fraction: 1.0 min_count: 1 } }
feature { name: "id" type: INT presence { min_fraction: 1.0 min_count: 1 } }
feature { name: "x" type: FLOAT float_domain { min: 0 max: 100 } presence { min_fraction: 0.9 min_count: 1 } }
feature { name: "kind" type: BYTES string_domain { value: "a" value: "b" } presence { min_fraction: 1.0 min_count: 1 } }
feature { name: "y" type: INT int_domain { min: 0 max: 1 } presence { min_count: 1 } not_in_environment: "SERVING" }
default_environment: "TRAINING"
default_environment: "SERVING"
"""

JUDGE = """
import json, sys
from pathlib import Path
import msgspec
from interlock.config import parse_config
from interlock.errors import InterlockError
from interlock.validation.stage import validate_table
try:
    verdict, _, page = validate_table(parse_config(Path("config.yaml").read_text()),
                                      schema_text=Path("schema.pbtxt").read_text(), folder=Path("t"))
    print(json.dumps({"verdict": msgspec.to_builtins(verdict), "page": page}))
except InterlockError as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
"""


def small(**validation: Any) -> str:
    raw = yaml.safe_load(CONFIG)
    raw["validation"] = {"minimum_rows": 10, **validation}
    return yaml.safe_dump(raw)


def config(**validation: Any) -> Config:
    return parse_config(small(**validation))


@pytest.fixture
def judge(tmp_path: Path, in_data):
    """``judge(columns, schema=…, **validation)``: the stage's answer on 40 rows with these columns changed."""

    def run(columns: dict[str, Any] | None = None, *, schema: str = SCHEMA, **validation: Any) -> Any:
        n = 40
        data = {
            "when": [dt.datetime(2024, 1, 1) + dt.timedelta(hours=i) for i in range(n)],
            "id": list(range(n)),
            "x": [i / 2 for i in range(n)],
            "kind": ["ab"[i % 2] for i in range(n)],
            "y": [i % 2 for i in range(n)],
            **(columns or {}),
        }
        folder = tmp_path / "t"
        folder.mkdir(exist_ok=True)
        table = pa.table({name: values for name, values in data.items() if values is not None})
        pq.write_table(table, folder / "table.parquet")
        contract = Table(source="t", rows=n, columns=[Column("id", "number")], sha256="s", time_start="2024-01-01")
        write_contract(contract, folder / "table.json")
        (tmp_path / "schema.pbtxt").write_text(schema)
        (tmp_path / "config.yaml").write_text(small(**validation))
        return in_data(JUDGE)

    return run


def test_clean_table_passes(judge) -> None:
    answer = judge()
    assert answer["verdict"]["passed"], answer["verdict"]["anomalies"]
    assert "No anomaly" in answer["page"]


def test_every_anomaly_names_value_limit_and_rows(judge) -> None:
    x = [i / 2 for i in range(40)]
    x[7], x[9] = 1000.0, -3.0
    kind = ["a"] * 40
    kind[5] = "zebra"
    answer = judge({"x": x, "kind": kind})
    found = {(each["feature"], each["rule"]): each for each in answer["verdict"]["anomalies"]}
    assert not answer["verdict"]["passed"]
    big = found["x", "float_type_big_float"]
    assert (big["value"], big["limit"]) == ("-3 to 1000", "[0, 100]")
    assert [row["id"] for row in big["rows"]] == ["7", "9"]
    odd = found["kind", "enum_type_unexpected_string_values"]
    assert "zebra" in odd["value"]
    assert odd["rows"] == [{"row": "5", "id": "5", "kind": "zebra"}]
    page = answer["page"]
    assert "zebra" in page
    assert page.index("enum_type_unexpected") < page.index("<svg")
    for outside in ("<script", "http:", "https:", "src="):
        assert outside not in page


def test_ten_rows_at_most(judge) -> None:
    answer = judge({"x": [500.0] * 40})
    assert [len(each["rows"]) for each in answer["verdict"]["anomalies"]] == [10]


def test_missing_column_nulls_and_new_column(judge) -> None:
    answer = judge({"x": [None] * 30 + [1.0] * 10, "y": None, "extra": [1] * 40})
    found = {(each["feature"], each["rule"]): each for each in answer["verdict"]["anomalies"]}
    assert found["x", "feature_type_low_fraction_present"]["value"] == "30 of 40 rows without a value"
    assert ("y", "schema_missing_column") in found
    assert ("extra", "schema_new_column") in found


def test_all_null_feature_and_infinity(judge) -> None:
    x = [1.0] * 40
    x[3] = float("inf")
    answer = judge({"x": x, "empty": pa.nulls(40)}, schema="")
    found = {(each["feature"], each["rule"]): each for each in answer["verdict"]["anomalies"]}
    assert ("empty", "all_null") in found
    assert found["x", "infinite"]["rows"][0]["id"] == "3"


def test_empty_table_is_not_good(judge) -> None:
    kinds = {"when": pa.timestamp("us"), "id": pa.int64(), "x": pa.float64(), "kind": pa.string(), "y": pa.int64()}
    answer = judge({name: pa.array([], kind) for name, kind in kinds.items()})
    rules = {each["rule"] for each in answer["verdict"]["anomalies"]}
    assert not answer["verdict"]["passed"]
    assert {"data_missing", "minimum_rows"} <= rules


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (SCHEMA.replace("min_fraction", "min_fractoin", 1), "ConfigError: schema: 2:.*min_fractoin"),
        (SCHEMA.replace("type: FLOAT", "type: FLOAT drift_comparator { infinity_norm { threshold: 0.1 } }"),
         "x has a drift_comparator and nothing to compare with"),
        (SCHEMA.replace("type: FLOAT", "type: FLOAT skew_comparator { infinity_norm { threshold: 0.1 } }"),
         "x has a skew_comparator and no served rows"),
        (SCHEMA.replace('default_environment: "TRAINING"', ""), "environment TRAINING is not declared"),
    ],
)  # fmt: skip
def test_schemas_that_cannot_judge(judge, schema: str, message: str) -> None:
    import re

    assert re.search(message, judge(schema=schema)["error"])


@pytest.fixture
def serve(tmp_path: Path):
    """``serve(**columns)`` writes what production got beside the table, 30 days of it with these columns changed."""

    def run(**columns: Any) -> None:
        n = 30 * 24
        data = {"at": hours(n), "x": wave(n), "kind": ["ab"[i % 2] for i in range(n)], **columns}
        (tmp_path / "t").mkdir(exist_ok=True)
        served = pa.table({name: values for name, values in data.items() if values is not None})
        pq.write_table(served, tmp_path / "t" / "serving.parquet")

    return run


def hours(n: int) -> list[dt.datetime]:
    return [dt.datetime(2024, 1, 1) + dt.timedelta(hours=i) for i in range(n)]


def wave(n: int) -> list[float]:
    return [i * 37 % 101 / 2 for i in range(n)]


TRAINED = {
    "when": hours(720),
    "id": list(range(720)),
    "x": wave(720),
    "kind": ["ab"[i % 2] for i in range(720)],
    "y": [i % 2 for i in range(720)],
}
SERVED_SCHEMA = SCHEMA.replace(
    'feature { name: "id" type: INT', 'feature { name: "id" type: INT not_in_environment: "SERVING"'
).replace('feature { name: "when" type: INT', 'feature { name: "when" type: INT not_in_environment: "SERVING"') + (
    'feature { name: "at" type: INT not_in_environment: "TRAINING" }'
)
SKEW = {"serving": {"table": "served.sql", "time": "at"}, "skew": {}}


def test_rows_served_like_the_table_pass_without_the_label(judge, serve) -> None:
    serve()
    verdict = judge(TRAINED, schema=SERVED_SCHEMA, **SKEW)["verdict"]
    assert verdict["anomalies"] == []
    assert {each["feature"]: each["alarm"] for each in verdict["skew"]} == {"x": False, "kind": False}


def test_skew_and_the_serving_environment_block(judge, serve) -> None:
    serve(x=[x / 3 for x in wave(720)], kind=["zebra"] * 720)
    answer = judge(TRAINED, schema=SERVED_SCHEMA, **SKEW, severity={"kind.skew": "warn"})
    found = {(each["feature"], each["rule"]): each for each in answer["verdict"]["anomalies"]}
    assert found["x", "skew"]["blocking"]
    assert "divergence of served rows from the table" in found["x", "skew"]["reason"]
    assert not found["kind", "skew"]["blocking"]
    assert "zebra" in found["kind", "serving.enum_type_unexpected_string_values"]["value"]
    assert not answer["verdict"]["passed"]
    assert "served rows against the table" in answer["page"]


@pytest.mark.parametrize(
    ("columns", "value"), [({"x": None}, "no such column"), ({"x": [f"{x}" for x in wave(720)]}, "string")]
)
def test_a_feature_that_was_not_served_alike_is_skew(judge, serve, columns: dict[str, Any], value: str) -> None:
    serve(**columns)
    anomalies = judge(TRAINED, schema="", **SKEW)["verdict"]["anomalies"]
    assert [(each["feature"], each["rule"], each["value"]) for each in anomalies] == [("x", "skew", value)]


def test_served_rows_that_were_not_ingested_are_an_error(judge) -> None:
    assert "serving.parquet is missing beside the table" in judge(TRAINED, **SKEW)["error"]


def test_skew_comparator_of_the_schema_sees_served_rows(judge, serve) -> None:
    serve(kind=["a"] * 720)
    schema = SERVED_SCHEMA.replace("type: BYTES", "type: BYTES skew_comparator { infinity_norm { threshold: 0.1 } }")
    anomalies = judge(TRAINED, schema=schema, serving=SKEW["serving"])["verdict"]["anomalies"]
    assert [(each["feature"], each["rule"]) for each in anomalies] == [("kind", "comparator_l_infty_high")]


def test_unknown_slice(judge) -> None:
    assert "no column planet" in judge(slices=["planet"])["error"]


def test_null_share_is_held_by_its_bound(judge) -> None:
    rule = {"null_share": [{"column": "x", "at_most": 0.3}]}
    answer = judge({"x": [None] * 5 + [1.0] * 35}, schema="", rules=rule)
    assert answer["verdict"]["passed"] is False  # 12.5 % of 40 rows: too few rows to be sure of 30 %
    assert answer["verdict"]["anomalies"][-1]["rule"] == "null_share"
    assert wilson_upper(5, 40) > 0.3 > wilson_upper(500, 4000)
    assert wilson_upper(0, 0) == 1.0


def test_repeated_keys_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2, 2, 3, 2], "at": [1, 1, 1, 1, 1]}), tmp_path / "t.parquet")
    [anomaly] = repeated_keys(tmp_path / "t.parquet", ["id", "at"])
    assert (anomaly.rule, anomaly.value) == ("unique_key", "2 repeated rows")
    assert anomaly.rows == [{"rows": "3", "id": "2", "at": "1"}]
    pq.write_table(pa.table({"id": [1, 2], "at": [1, 1]}), tmp_path / "t.parquet")
    assert repeated_keys(tmp_path / "t.parquet", ["id", "at"]) == []


def table(**changes: Any) -> Table:
    span = {"time_start": "2024-02-01T00:00:00", "time_end": "2024-02-10T23:00:00", "window_end": "2024-02-11T00:00:00"}
    values = {"source": "t", "rows": 100, "columns": [], "sha256": "s", "reference_rows": 310, **span}
    return Table(**{**values, **changes})


def test_row_count_against_the_reference() -> None:
    span = config(reference={"start": "2024-01-01", "end": "2024-02-01"}).validation.reference
    assert row_count(table(), span, (0.9, 1.1)) == []  # ten a day in both
    [few] = row_count(table(rows=50), span, (0.9, 1.1))
    assert (few.value, few.limit) == ("0.500", "[0.9, 1.1]")
    with pytest.raises(ContractError, match="reference"):
        row_count(table(reference_rows=0), span, (0.9, 1.1))


def test_freshness() -> None:
    now = dt.datetime(2024, 3, 1)
    assert freshness(table(), 2, now) == []
    [late] = freshness(table(window_end=""), 48, now)
    assert late.rule == "fresh_hours"
    assert (late.value, late.limit) == ("457.0 h", "<= 48 h")


def test_sql_results_become_anomalies() -> None:
    wanted = config(rules={"label_balance": [0.4, 0.6], "checks": [{"name": "sane", "sql": "x > 0"}]})
    result = SqlResult(name="sane", sql="x > 0", broken=3, at_most=0, rows=[{"id": "7"}])
    checks = TableChecks(table_sha256="s", labelled=100, positives=10, results=[result])
    sane, balance = from_sql(wanted, table(), checks)
    assert (sane.rule, sane.value, sane.rows) == ("check.sane", "3 rows", [{"id": "7"}])
    assert (balance.feature, balance.rule, balance.value) == ("late", "label_balance", "0.1000")
    with pytest.raises(ContractError, match="ingest the table again"):
        list(from_sql(wanted, table(sha256="other"), checks))


WAIVER = {"feature": "x", "rule": "drift", "owner": "ada", "reason": "new route", "expires": dt.date(2024, 6, 30)}
DRIFTED = Anomaly("x", "drift", "0.1", "0.01", "x drifted")


def test_severity_and_waiver() -> None:
    [plain] = weigh(config().validation, [DRIFTED], dt.date(2024, 6, 30))
    assert plain.blocking
    for severity in ({"drift": "warn"}, {"x.drift": "warn"}):
        assert not weigh(config(severity=severity).validation, [DRIFTED], dt.date(2024, 6, 30))[0].blocking
    waived = weigh(config(waivers=[WAIVER]).validation, [DRIFTED], dt.date(2024, 6, 30))
    assert [(each.blocking, each.waiver) for each in waived] == [(False, "ada until 2024-06-30: new route")]


def test_expired_waiver_blocks() -> None:
    drifted, expired = weigh(config(waivers=[WAIVER]).validation, [DRIFTED], dt.date(2024, 7, 1))
    assert drifted.blocking
    assert (expired.rule, expired.blocking) == ("waiver_expired", True)
    assert "ada" in expired.reason


def test_comparing_rules_without_a_reference_are_refused() -> None:
    for validation in ({"drift": {}}, {"rules": {"row_count_ratio": [0.5, 2]}}):
        with pytest.raises(ConfigError, match=r"needs validation\.reference"):
            config(**validation)
    with pytest.raises(ConfigError, match=r"validation\.skew: needs validation\.serving"):
        config(skew={})
